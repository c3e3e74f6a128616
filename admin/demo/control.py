"""The tour's last part: the platform's operator makes a tenant through the admin API, and takes it away again."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from admin.demo.keys import signing_key
from admin.demo.people import AMY, OTTO, Person, mint
from admin.demo.policy import TARGET
from admin.demo.show import Show
from admin.demo.stage import Stage

_TENANT = {"id": "hooli", "name": "Hooli", "isolation": "schema", "target": TARGET, "schema": "hooli", "tier": "trial"}
GAVIN = Person("gavin", "hooli", ("owner",), "owner of hooli, a tenant that was not there a second ago")
_SOON_S = 10.0


@dataclass(frozen=True, slots=True)
class Director:
    """Asks the API as somebody, and shows question and answer."""

    client: httpx.Client
    stage: Stage
    show: Show

    def ask(self, person: Person, method: str, path: str, body: Any = None, *, shown: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.stage.tokens[person.name]}"}
        if method in ("PATCH", "PUT", "DELETE"):
            headers["If-Match"] = self.client.get(path.partition("?")[0], headers=headers).headers.get("etag", "")
        answer = self.client.request(method, path, json=body, headers=headers)
        self.show.exchange(person, f"{method} /v1{path}", body, answer.status_code, shown and str(answer.json()[shown]))
        return answer


def control(stage: Stage, show: Show) -> str | None:
    """Make the tour's part; what was wrong, or None."""
    show.title("otto gets a new customer", "The admin API makes tenant and schema; gateways follow within a second.")
    context = ssl.create_default_context(cafile=stage.home.certificate)
    with httpx.Client(base_url=f"https://localhost:{stage.admin.admin_port}/v1", verify=context, timeout=30) as client:
        problem = _play(Director(client, stage, show))
    show.verdict("control", problem)
    return problem


def _play(director: Director) -> str | None:
    _clear(director)
    made = director.ask(OTTO, "POST", "/tenants", _TENANT)
    if made.status_code != 201 or not any("CREATE SCHEMA" in sql for sql in made.json()["provisioned"]):
        return f"the tenant was not made: {made.text}"
    with _connect(director.stage) as session:
        session.execute("CREATE TABLE boxes (what text)")
        session.execute("INSERT INTO boxes VALUES ('signature'), ('edition')")
        count = session.execute("SELECT count(*) FROM boxes").fetchone()
        director.show.say(f"gavin, of hooli, makes a table and finds {count[0] if count else 0} rows in it")
        foreign = director.ask(AMY, "GET", "/tenants/hooli", shown="detail")
        if foreign.status_code != 404:
            return f"amy of acme sees another tenant: {foreign.text}"
        director.ask(OTTO, "POST", "/tenants/hooli/suspend?reason=unpaid", shown="status")
        if not (took := _ends(session)):
            return "the session of a suspended tenant goes on"
        director.show.say(f"gavin's open session ended {took:.2f} s later")
    gone = director.ask(OTTO, "DELETE", "/tenants/hooli?data=export", shown="export")
    if gone.status_code != 200 or gone.json()["export"]["rows"] != 2:
        return f"the tenant was not exported and deleted: {gone.text}"
    return None


def _clear(director: Director) -> None:
    """What a tour that was interrupted has left."""
    headers = {"Authorization": f"Bearer {director.stage.tokens[OTTO.name]}"}
    left = director.client.get("/tenants/hooli", headers=headers)
    if left.status_code == 200:
        headers["If-Match"] = left.headers["etag"]
        director.client.delete("/tenants/hooli", params={"data": "destroy", "confirm": "hooli"}, headers=headers)


def _connect(stage: Stage) -> psycopg.Connection[tuple[Any, ...]]:
    """As soon as the gateway knows the tenant."""
    home = stage.home
    token = mint(GAVIN, signing_key(home.signing_key, home.public_key))
    deadline = time.monotonic() + _SOON_S
    while True:
        try:
            return psycopg.connect(
                host="localhost", port=stage.port, user="gavin", dbname="hooli", password=token, sslmode="require",
                connect_timeout=10, autocommit=True,
            )  # fmt: skip
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _ends(session: psycopg.Connection[tuple[Any, ...]]) -> float:
    """Seconds until it has ended; 0: it has not."""
    began = time.monotonic()
    while time.monotonic() < began + _SOON_S:
        try:
            session.execute("SELECT 1")
        except psycopg.OperationalError:
            return time.monotonic() - began
        time.sleep(0.01)
    return 0.0
