"""An administrator of one tenant against the others: by id, by header, by host, by filter, by cursor, by body."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from admin.api import shell
from admin.api.control import ExplainRequest
from admin.api.shell import pause_before_404
from policy.snapshot import Snapshot
from tests.harness.tokens import Issuer
from tests.integration.admin_api.stage import Api, serve_api

# (method, path with a place for a tenant's id, body)
_BY_TENANT: list[tuple[str, str, Any]] = [
    ("GET", "/tenants/{}", None),
    ("PUT", "/tenants/{}", {"isolation": "shared", "target": "main"}),
    ("PATCH", "/tenants/{}", {"name": "mine"}),
    ("DELETE", "/tenants/{0}?data=keep&confirm={0}", None),
    ("GET", "/tenants/{}/quotas", None),
    ("PUT", "/tenants/{}/quotas", {"connections": 1}),
    ("GET", "/tenants/{}/flags", None),
    ("PUT", "/tenants/{}/flags", {}),
    ("GET", "/tenants/{}/users", None),
    ("GET", "/tenants/{}/children", None),
    ("GET", "/tenants/{}/usage", None),
    ("POST", "/tenants/{}/suspend", None),
    ("POST", "/tenants/{}/resume", None),
    ("GET", "/roles/{}/clerk", None),
    ("PUT", "/roles/{}/clerk", {"permissions": ["database:*"]}),
    ("DELETE", "/roles/{}/clerk", None),
    ("POST", "/roles", {"id": "{}/mine"}),
    ("POST", "/policies/validate", {"id": "p", "tenant": "{}"}),
    ("POST", "/tokens/revoke", {"subject": "gus", "tenant": "{}"}),
    ("DELETE", "/tokens/revocations/subject/{}/gus", None),
    ("POST", "/explain", {"tenant": "{}", "subject": "x", "sql": "SELECT 1"}),
]


async def _explained(_snapshot: Snapshot, request: ExplainRequest) -> dict[str, Any]:
    return {"tenant": request.tenant}


def _filled(value: Any, tenant: str) -> Any:
    return json.loads(json.dumps(value).replace('"{}', '"' + tenant))


def told(answer: httpx.Response, tenant: str) -> tuple[Any, ...]:
    """All that can be seen of an answer, with the id that was asked for taken out."""
    headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "content-length")}
    return answer.status_code, headers, answer.text.replace(tenant, "TENANT")


@pytest.mark.parametrize(("who", "foreign"), [("ann", "globex"), ("sue", "holding"), ("nina", "globex")])
async def test_a_foreign_tenant_and_one_that_is_not_there_are_told_alike(
    template: Path, tmp_path: Path, who: str, foreign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_STEP_S", 0.001)  # what is told is the matter here
    async with serve_api(str(tmp_path / "store.db"), template=template, explain=_explained) as api:
        for method, path, body in _BY_TENANT:
            seen = []
            for tenant in (foreign, "nosuch"):
                answer = await api.call(
                    who, method, path.format(tenant), _filled(body, tenant), headers={"If-Match": '"1"'}
                )
                assert answer.status_code in (404, 403), (method, path, tenant, answer.text)
                seen.append(told(answer, tenant))
            assert seen[0] == seen[1], (method, path)
            if who != "nina":
                assert seen[0][0] == 404, (method, path)
        for header in (foreign, "nosuch"):
            for path in ("/tenants", "/roles", "/audit", "/users/gus/roles", "/sessions", "/policies"):
                answer = await api.call(who, "GET", path, headers={"TenantGate-Tenant": header})
                assert told(answer, header)[0] == 404
        body = (await api.call("olga", "GET", f"/tenants/{foreign}")).json()
        assert "name" not in body
        assert body.get("quotas") is None


def test_the_time_that_it_takes_to_find_nothing_is_rounded_up() -> None:
    for elapsed in (0.0, 0.001, 0.0499, 0.0501, 0.123):
        total = elapsed + pause_before_404(elapsed)
        assert total >= elapsed
        assert round(total / 0.05, 6) == int(round(total / 0.05, 6))
        assert pause_before_404(elapsed) <= 0.05


async def test_lists_never_hold_what_is_anothers(api: Api) -> None:
    for who, allowed in (
        ("ann", {"acme"}),
        ("sue", {"sub-a", "sub-a-1"}),
        ("paul", {"holding", "sub-a", "sub-a-1", "sub-b"}),
    ):
        for query in (
            "",
            "?parent=holding",
            "?search=%25",
            "?search=_",
            "?search=' OR '1'='1",
            "?status=active",
            "?tier=gold%00",
        ):
            answer = await api.call(who, "GET", f"/tenants{query}")
            assert answer.status_code in (200, 422)
            assert {t["id"] for t in answer.json().get("items", [])} <= allowed, (who, query)
    roles = (await api.call("ann", "GET", "/roles")).json()["items"]
    assert [role["id"] for role in roles] == ["acme/clerk"]
    assert (await api.call("ann", "GET", "/users/gus/roles")).json()["items"] == []
    assert (await api.call("ann", "GET", "/users/olga/roles")).json()["items"] == []
    for query in ("?entity=globex", "?kind=tenant", "?subject=setup' OR 1=1 --"):
        events = (await api.call("ann", "GET", f"/audit{query}")).json()["items"]
        assert {event["tenant"] for event in events} <= {"acme"}, query


async def test_header_host_and_path_must_agree_with_the_token_and_each_other(template: Path, tmp_path: Path) -> None:
    async with serve_api(str(tmp_path / "s.db"), template=template, host_suffix=".api.test") as api:

        async def status(who: str, path: str, **headers: str) -> int:
            return (await api.call(who, "GET", path, headers=headers)).status_code

        assert await status("ann", "/roles", Host="acme.api.test") == 200
        assert await status("ann", "/roles", Host="ACME.api.test:8443") == 200
        assert await status("ann", "/roles", Host="globex.api.test") == 404
        assert await status("ann", "/tenants/acme", Host="globex.api.test") == 400
        assert await status("ann", "/tenants/acme", **{"TenantGate-Tenant": "globex"}) == 400
        assert await status("ann", "/roles", Host="acme.api.test", **{"TenantGate-Tenant": "globex"}) == 400
        assert await status("paul", "/tenants/sub-a", **{"TenantGate-Tenant": "sub-a"}) == 200
        assert await status("paul", "/tenants/sub-a", **{"TenantGate-Tenant": "sub-b"}) == 400
        assert await status("olga", "/roles", **{"TenantGate-Tenant": "globex"}) == 200


async def test_a_parents_administrator_acts_in_children_within_bounds(api: Api) -> None:
    assert (await api.change("paul", "PUT", "/tenants/sub-a-1/quotas", {"connections": 3})).status_code == 200
    assert (await api.change("paul", "PATCH", "/tenants/sub-a", {"tier": "gold"})).status_code == 403
    assert (await api.change("paul", "PATCH", "/tenants/sub-a", {"parent": None})).status_code == 403
    assert (await api.call("paul", "POST", "/tenants/sub-a/suspend")).status_code == 200
    assert (await api.call("sue", "GET", "/tenants/sub-a")).status_code == 404
    assert (await api.call("paul", "POST", "/tenants/sub-a/resume")).status_code == 200
    assert (await api.call("paul", "POST", "/tenants/holding/suspend")).status_code == 403
    headers = {"TenantGate-Tenant": "sub-a"}
    given = await api.call("paul", "PUT", "/users/kid/roles", {"roles": ["analyst"]}, headers=headers)
    assert given.json()["tenant"] == "sub-a"
    assert (await api.call("sue", "GET", "/users/kid/roles")).json()["items"][0]["roles"] == ["analyst"]


async def test_nobody_gives_more_than_is_within_a_tenant(api: Api) -> None:
    for roles in (["super_admin"], ["acme/clerk", "super_admin"]):
        answer = await api.call("ann", "PUT", "/users/mate/roles", {"roles": roles})
        assert answer.status_code == 403, answer.text
    for body in (
        {"id": "acme/big", "permissions": ["tenant:*:write"]},
        {"id": "acme/big", "permissions": ["gateway:*:admin"]},
        {"id": "acme/big", "inherits": ["super_admin"]},
        {"id": "big", "permissions": ["table:*:read"]},
    ):
        answer = await api.call("ann", "POST", "/roles", body)
        assert answer.status_code in (403, 404, 422), (body, answer.text)


async def test_fields_that_are_not_ones_own_are_refused_and_nothing_changes(api: Api) -> None:
    before = (await api.call("olga", "GET", "/tenants/acme")).json()
    for patch in (
        {"status": "active", "name": "x"}, {"tier": "diamond"}, {"parent": "holding"}, {"value": "globex"},
        {"isolation": "database"}, {"slug": "globex"}, {"quotas": {"connections": 10**6}}, {"flags": {"copy": True}},
        {"id": "globex"}, {"etag": "9"}, {"is_operator": True}, {"__class__": "x"}, {"attributes": {"a": "b"}},
    ):  # fmt: skip
        answer = await api.change("ann", "PATCH", "/tenants/acme", patch)
        assert answer.status_code in (403, 422), (patch, answer.text)
    for extra in ({"tenant": "globex"}, {"issuer": "x"}, {"group": "everyone"}):
        answer = await api.call("ann", "PUT", "/users/mate/roles", {"roles": ["analyst"], **extra})
        assert answer.status_code == 422
    assert (await api.call("olga", "GET", "/tenants/acme")).json() == before


async def test_cursors_are_for_who_got_them_and_for_that_list(api: Api) -> None:
    cursor = (await api.call("paul", "GET", "/tenants?limit=1")).json()["next_cursor"]
    assert (await api.call("paul", "GET", f"/tenants?limit=2&cursor={cursor}")).status_code == 200
    changed = [cursor[:i] + ("A" if cursor[i] != "A" else "B") + cursor[i + 1 :] for i in range(0, len(cursor), 5)]
    for bad in (*changed, cursor[:-1], cursor + "A", cursor + "=", "", "%00", "ImFjbWUi", "x" * 1024):
        assert (await api.call("paul", "GET", f"/tenants?cursor={bad}")).status_code == 400, bad
    assert (await api.call("sue", "GET", f"/tenants?cursor={cursor}")).status_code == 400
    assert (await api.call("paul", "GET", f"/roles?cursor={cursor}")).status_code == 400
    assert (await api.call("paul", "GET", f"/tenants?search=sub&cursor={cursor}")).status_code == 400
    other = {"TenantGate-Tenant": "sub-a"}
    assert (await api.call("paul", "GET", f"/tenants?cursor={cursor}", headers=other)).status_code == 400


_BOMBS: list[tuple[bytes, int]] = [
    (b"[" * 100_000 + b"]" * 100_000, 400),
    (b'{"a":' * 40 + b"1" + b"}" * 40, 400),
    (b'{"name":"x","name":"y"}', 400),
    (b'{"attributes":{"a":"1","a":"2"}}', 400),
    (b'{"name":NaN}', 400),
    (b'{"name":-Infinity}', 400),
    (b'{"quotas":{"connections":1e999}}', 400),
    (b'{"quotas":{"connections":' + b"9" * 5000 + b"}}", 400),
    (b'{"name":"\\u0000"}', 400),
    (b'{"name":"\\ud800"}', 400),
    (b'{"\\u0000":1}', 400),
    (b'{"name":"\xff"}', 400),
    (b'\xef\xbb\xbf{"name":"x"}', 400),
    (b"{", 400),
    (b'{"name":"x"} {"name":"y"}', 400),
    (b"'" + b"x" * 2_000_000 + b"'", 413),
    (b'"text"', 422),
    (b"null", 422),
    (b"", 422),
]


async def test_bodies_that_are_not_plain_json_change_nothing(api: Api) -> None:
    for body, status in _BOMBS:
        answer = await api.change("olga", "PATCH", "/tenants/acme", body)
        assert answer.status_code == status, (body[:40], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await api.call("olga", "GET", "/tenants/acme")).json()["name"] == "Acme"


async def test_a_body_of_another_kind_or_without_a_length_is_bounded_too(api: Api) -> None:
    etag = await api.etag("olga", "/tenants/acme")
    headers = {"If-Match": etag, "Content-Type": "text/plain"}
    assert (await api.call("olga", "PATCH", "/tenants/acme", b'{"name":"x"}', headers=headers)).status_code == 415

    async def endless() -> Any:
        for _ in itertools.count():
            yield b"x" * 65536

    token = api.token("olga")
    answer = await api.client.post(
        "/v1/tenants",
        content=endless(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 413


_LOOKALIKES = (
    "аcme", "acme\u200b", "ａｃｍｅ", "acme\u0301", "ACME İ", "acme/x", "..", "%2e%2e", "a" * 64, "acme ",
)  # fmt: skip


async def test_names_that_look_like_others_are_no_ids_and_no_slugs(api: Api) -> None:
    body = {"isolation": "shared", "target": "main"}
    for name in _LOOKALIKES:
        assert (await api.call("olga", "POST", "/tenants", {"id": name, **body})).status_code == 422, name
        assert (await api.call("olga", "POST", "/tenants", {"id": "fine", "slug": name, **body})).status_code == 422
    assert (await api.call("olga", "POST", "/tenants", {"id": "tenantgate", **body})).status_code == 422


async def test_bad_tokens_all_look_alike_and_reach_no_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    good = api.token("ann")
    head, claims, signature = good.split(".")
    tokens = [
        f"{head}.{claims}.{'A' * len(signature)}",
        Issuer(kid="other").token("ann", "acme"),
        Issuer("https://elsewhere.test").token("ann", "acme"),
        api.token("ann", aud="another"),
        api.token("ann", ttl_s=-10),
        api.token("ann", tenant=["acme", "globex"]),
        "x", "a.b.c", "", "é",
    ]  # fmt: skip
    seen = set()
    for token in tokens:
        answer = await api.client.get("/v1/tenants", headers={b"Authorization": f"Bearer {token}".encode()})
        assert answer.headers["www-authenticate"].startswith("Bearer")
        seen.add((answer.status_code, answer.text))
    for headers in ({}, {"Authorization": "Basic YTpi"}):
        answer = await api.client.get("/v1/tenants", headers=headers)
        seen.add((answer.status_code, answer.text))
    assert len(seen) == 1
    assert seen.pop()[0] == 401
    assert (
        await api.call("ann", "GET", "/tenants/acme", headers={"Authorization": f"Bearer {good}"})
    ).status_code == 200
    assert not any(token in caplog.text for token in (*tokens[:6], good, signature))


async def test_an_unexpected_error_tells_an_id_and_the_log_the_rest(
    template: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_snapshot: Snapshot, _request: ExplainRequest) -> dict[str, Any]:
        raise RuntimeError("what nobody outside may read")

    async with serve_api(str(tmp_path / "s.db"), template=template, explain=broken) as api:
        answer = await api.call("ann", "GET", "/explain?subject=x&sql=SELECT+1")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "nobody outside" not in answer.text
    assert answer.json()["detail"] == f"internal error {answer.json()['id']}"
    (record,) = [record for record in caplog.records if answer.json()["id"] in record.getMessage()]
    assert "nobody outside" in str(record.exc_info)


async def test_each_caller_has_a_rate_of_its_own(template: Path, tmp_path: Path) -> None:
    async with serve_api(str(tmp_path / "s.db"), template=template, per_s=0.01) as api:
        from admin.api.rates import RateLimit

        object.__setattr__(api.control, "limit", RateLimit(0.01, 3, lambda: 0.0))
        answers = [await api.call("ann", "GET", "/tenants/acme") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[3].headers["retry-after"] == "100"
        assert (await api.call("ada", "GET", "/tenants/acme")).status_code == 200
        object.__setattr__(api.control, "failures", RateLimit(0.01, 2, lambda: 0.0))
        assert [(await api.call(None, "GET", "/tenants")).status_code for _ in range(3)] == [401, 401, 429]


async def test_an_administrator_of_a_suspended_tenant_administers_nothing(api: Api) -> None:
    assert (await api.call("olga", "POST", "/tenants/globex/suspend")).status_code == 200
    assert (await api.call("gus", "GET", "/tenants/globex")).status_code == 404
    assert (await api.call("gus", "PUT", "/users/x/roles", {"roles": ["analyst"]})).status_code in (403, 404)
    assert (await api.call("olga", "POST", "/tenants/globex/resume")).status_code == 200
    assert (await api.call("gus", "GET", "/tenants/globex")).status_code == 200
