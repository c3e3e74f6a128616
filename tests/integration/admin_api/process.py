"""`tenantgate admin` as a process of its own, over TLS, beside a gateway that follows the same store."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
from copy import copy
from typing import Any

import httpx

from admin.demo.embedded import free_port
from admin.demo.policy import TARGET
from proxy.postgres.wire.scram import make_verifier
from tests.integration.policy_store.conftest import Following

ACCOUNT, PASSWORD = "admin-api", "the account's password"
ACCOUNT_SETTINGS: dict[str, dict[str, object]] = {
    f"auth.service_accounts.{ACCOUNT}": {
        "verifier": make_verifier(PASSWORD), "tenants": ["acme"], "roles": ["gateway_admin"],
    }
}  # fmt: skip


class AdminProcess:
    """One `tenantgate admin` with the gateway's configuration and a section [api]."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self.port = free_port()
        server = following.server
        text = following.config_path.read_text()
        text += f"""
[api]
port = {self.port}
requests_per_s = 1000
burst = 1000
export_dir = "exports"

[[api.gateways]]
host = "localhost"
port = {following.port}
user = {json.dumps(ACCOUNT)}
password = {json.dumps(PASSWORD)}
ca_file = {json.dumps(str(following.ca_file))}

[api.targets.{TARGET}]
admin_user = {json.dumps(server.superuser)}
admin_password = {json.dumps(server.password)}
"""
        self.config_path = following.config_path
        self.config_path.write_text(text)
        self.log = following.directory / "admin.log"
        self.client = self._new_client()

    def _new_client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"https://localhost:{self.port}/v1",
            verify=ssl.create_default_context(cafile=self._following.ca_file),
            timeout=30,
        )

    def another(self, section: str, number: int) -> AdminProcess:
        """One more on the same store, with this section in its configuration, launched."""
        other = copy(self)
        other.port = free_port()
        other.config_path = self.config_path.with_name(f"admin-{number}.toml")
        other.config_path.write_text(self.config_path.read_text().replace(f"{self.port}", f"{other.port}") + section)
        other.log = self.log.with_name(f"admin-{number}.log")
        other.client = other._new_client()
        other.launch()
        return other

    def start(self) -> None:
        self.launch()
        deadline = time.monotonic() + 60
        while True:
            assert self._process.poll() is None, self.log.read_text()
            try:
                if self.client.get("/health").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def launch(self) -> None:
        """Start it, and do not wait until it serves."""
        command = [sys.executable, "-m", "admin.cli.main", "admin", "-c", str(self.config_path)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def reload(self) -> None:
        """SIGHUP, and wait until it says that it has."""
        before = self.log.read_text().count("reloaded")
        self._process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while self.log.read_text().count("reloaded") == before:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        self.client.close()
        if self._process.poll() is None:
            self._process.terminate()
        assert self._process.wait(60) == 0, (self._process.returncode, self.log.read_text())

    def call(self, token: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {token}", **headers}
        return self.client.request(method, path, json=body, headers=sent)

    def change(self, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """With If-Match of what is there now."""
        etag = self.call(token, "GET", path.partition("?")[0]).headers["etag"]
        return self.call(token, method, path, body, **{"If-Match": etag})
