"""The section [api] of tenantgate.toml: where the admin API listens, whom it allows how much, what it reaches.

Gateways take it for known and do not read it: an administrator's password of a target is not for them.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policy.problems import did_you_mean
from proxy.config import GatewayConfig, TargetConfig
from proxy.config_file import read_section
from proxy.config_values import Table

_TLS_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
_MIN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class AdministratorConfig:
    """A login that may create schemas, databases and roles on a target."""

    user: str
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """gateways: their admin consoles, each as the target of a PostgreSQL client. targets: administrators by target."""

    host: str = "127.0.0.1"
    port: int = 9633
    host_suffix: str | None = None
    requests_per_s: float = 20.0
    burst: int = 60
    max_body_bytes: int = 1024 * 1024
    export_dir: Path | None = None
    pg_dump: str | None = None
    cursor_key: bytes = field(default=b"", repr=False)
    gateways: tuple[TargetConfig, ...] = ()
    targets: Mapping[str, AdministratorConfig] = field(default_factory=dict)


def load_api_settings(path: Path, config: GatewayConfig, environ: Mapping[str, str] | None = None) -> ApiSettings:
    """Raises ConfigurationError with all problems of the section."""
    return read_section(path, os.environ if environ is None else environ, "api", lambda table: _read(table, config))


def _read(table: Table, config: GatewayConfig) -> ApiSettings:
    default = ApiSettings()
    settings = ApiSettings(
        host=table.text("host", default.host),
        port=table.port("port", default.port, least=0),
        host_suffix=_suffix(table),
        requests_per_s=float(table.integer("requests_per_s", int(default.requests_per_s), 1, 100_000)),
        burst=table.integer("burst", default.burst, 1, 1_000_000),
        max_body_bytes=table.size("max_body_bytes", default.max_body_bytes, 1024, 64 * 1024 * 1024),
        export_dir=table.file_path("export_dir"),
        pg_dump=_pg_dump(table),
        cursor_key=_cursor_key(table),
        gateways=tuple(_read_gateway(item, config) for item in table.table_list("gateways")),
        targets={name: _read_administrator(name, item, config) for name, item in table.named_tables("targets")},
    )
    if config.tls.mode == "off" and settings.host not in ("127.0.0.1", "::1", "localhost"):
        table.problem(
            "host", f"is {settings.host}, and tls.mode is off: tokens could be read on the way", "Set TLS up."
        )
    table.finish()
    return settings


def _pg_dump(table: Table) -> str | None:
    """The configured one must be there; unless one is, that of the PATH is taken."""
    configured = table.existing_file("pg_dump")
    return shutil.which("pg_dump") if configured is None else str(configured)


def _suffix(table: Table) -> str | None:
    suffix = table.optional_text("host_suffix")
    if suffix is not None and not (suffix.startswith(".") and suffix == suffix.lower() and len(suffix) > 1):
        table.problem("host_suffix", f"{suffix!r} is not a suffix", 'Begin with a dot: ".api.example.com".')
    return suffix


def _cursor_key(table: Table) -> bytes:
    """Several processes behind one address need the same; else each has its own until it ends."""
    text = table.secret("cursor_key")
    if text is None:
        return secrets.token_bytes(_MIN_KEY_BYTES)
    if len(text.encode()) < _MIN_KEY_BYTES:
        table.problem("cursor_key", f"is shorter than {_MIN_KEY_BYTES} bytes", "Make one: openssl rand -hex 32")
    return text.encode()


def _read_gateway(table: Table, config: GatewayConfig) -> TargetConfig:
    """A service account of the gateway's whose role has gateway:*:admin."""
    host, port = table.text("host", "127.0.0.1"), table.port("port", config.listen.port or 6432)
    gateway = TargetConfig(
        name=f"{host}:{port}",
        host=host,
        port=port,
        database="tenantgate",
        user=table.text("user"),
        password=table.secret("password") or "",
        tls=table.choice("tls", "verify-full", _TLS_MODES),
        ca_file=table.existing_file("ca_file"),
        connect_timeout_s=table.duration("connect_timeout_s", 3.0, most=60),
    )
    table.finish()
    return gateway


def _read_administrator(name: str, table: Table, config: GatewayConfig) -> AdministratorConfig:
    if name not in config.targets:
        table.problem("", f"there is no target {name!r}", did_you_mean(name, config.targets))
    administrator = AdministratorConfig(table.text("admin_user"), table.secret("admin_password") or "")
    table.finish()
    return administrator
