"""A real gateway in a process of its own, on free ports, with its files in a private directory."""

from __future__ import annotations

import json
import os
import shutil
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import trustme

from admin.demo.child import GatewayChild
from admin.demo.embedded import free_port, make_private_dir
from tests.harness.tokens import Issuer

Section = Mapping[str, object]


def lanes_are_off() -> bool:
    """TENANTGATE_TEST_LANES=off: every gateway of the tests goes without lanes, and nothing else may change."""
    return os.environ.get("TENANTGATE_TEST_LANES") == "off"


def _defaults() -> Section:
    """What the harness says of each target that does not say it itself."""
    return {"lanes": False} if lanes_are_off() else {}


class GatewayProcess:
    """`tenantgate serve` on loopback. `start()` returns when /readyz is 200; `stop()` checks how it went.

    targets: by name, the keys of [targets.NAME]. settings: further keys by section ("limits", "tls", …; "":
    of no section), which replace the harness's own. The certificate is for localhost and 127.0.0.1, its CA in
    `ca_file`. `issuer` is the one trusted issuer (attribute claim: region).
    """

    def __init__(
        self,
        *,
        targets: Mapping[str, Section],
        policy: str,
        issuer: Issuer | None = None,
        settings: Mapping[str, Section] | None = None,
    ) -> None:
        self.host = "localhost"
        self.port = free_port()
        self.admin_port = next(port for port in iter(free_port, None) if port != self.port)
        self.issuer = issuer or Issuer()
        self.directory = make_private_dir("tenantgate-gateway-")
        weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)  # also when it is never started
        self.config_path = self.directory / "tenantgate.toml"
        self.policy_path = self.directory / "policy.yaml"
        self.audit_path = self.directory / "audit.jsonl"
        self.ca_file = self.directory / "ca.pem"
        self._write_keys()
        self._targets = targets
        self.write_config(settings or {})
        self.policy_path.write_text(policy, encoding="utf-8")
        self._child = GatewayChild(self.config_path, self.directory / "gateway.log", self.admin_port)

    @property
    def pid(self) -> int:
        assert self._child.process is not None, "the gateway is not running"
        return self._child.process.pid

    @property
    def running(self) -> bool:
        return self._child.running

    @property
    def log(self) -> str:
        path = self._child.log
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        try:
            self._child.start()
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def reload(self) -> None:
        """Let it read its files again (SIGHUP). It does so soon, not at once."""
        self._child.reload()

    def stop(self) -> None:
        """Stop it (SIGTERM) and remove its files; it must end with status 0 and without a traceback in its log."""
        try:
            status = self._child.stop()
            assert status in (0, None), f"the gateway ended with {status}:\n{self._child.log_end(40)}"
            self.assert_clean_log()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def assert_clean_log(self, since: int = 0) -> None:
        """Fail when an unexpected exception was logged after the first `since` characters."""
        new = self.log[since:]
        bugs = [line for line in new.splitlines() if "Traceback" in line]
        assert not bugs, "\n".join(bugs)[-8000:]

    def write_config(self, settings: Mapping[str, Section]) -> None:
        own: dict[str, Section] = {
            "listen": {
                "host": "127.0.0.1",
                "port": self.port,
                "admin_host": "127.0.0.1",
                "admin_port": self.admin_port,
            },
            "tls": {"certificate": str(self.directory / "server.crt"), "key": str(self.directory / "server.key")},
            "audit": {"path": str(self.audit_path)},
            "log": {"format": "json", "level": "info"},
            "limits": {"drain_s": 2.0},
        }
        merged = {name: {**own.get(name, {}), **settings.get(name, {})} for name in {**own, **settings}}
        lines = [] if "policy" in merged else [f"policy = {json.dumps(str(self.policy_path))}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in merged.pop("", {}).items()]
        targets = {name: {**_defaults(), **target} for name, target in self._targets.items()}
        for name, section in [*merged.items(), *((f"targets.{t}", s) for t, s in targets.items())]:
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
        lines += ["", "[[auth.issuers]]", f"issuer = {json.dumps(self.issuer.issuer)}"]
        lines += [f"audience = {json.dumps(self.issuer.audience)}", 'attribute_claims = ["region"]']
        lines += [f"key_file = {json.dumps(str(self.directory / 'issuer.pem'))}"]
        self.config_path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def conninfo(self, user: str, token: str, database: str, **options: str | int) -> str:
        """A libpq connection string with TLS verified to the end."""
        return psycopg.conninfo.make_conninfo(
            "", host=self.host, port=self.port, user=user, password=token, dbname=database,
            sslmode="verify-full", sslrootcert=str(self.ca_file), connect_timeout=10, **options,
        )  # fmt: skip

    def audit_events(self, application: str | None = None) -> list[dict[str, Any]]:
        """What stands in the audit log by now, of one application or of all."""
        if not self.audit_path.exists():
            return []
        whole = [x for x in self.audit_path.read_bytes().splitlines(keepends=True) if x.endswith(b"\n")]
        events = [json.loads(line) for line in whole]
        return [e for e in events if application is None or e.get("application") == application]

    def _write_keys(self) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(str(self.ca_file))
        key = self.directory / "server.key"
        key.touch(mode=0o600)
        certificate.private_key_pem.write_to_path(str(key))
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(self.directory / "server.crt"), append=True)
        self.issuer.write_public_key(Path(self.directory / "issuer.pem"))
