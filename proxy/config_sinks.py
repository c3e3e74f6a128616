"""[audit.sinks.NAME]: where `tenantgate audit forward` takes the events. The gateway itself uses none of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from proxy.config_values import Table

SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    "stdout": (),
    "syslog": ("udp", "tcp", "tls"),
    "otlp": ("http", "https"),
    "elasticsearch": ("http", "https"),
    "webhook": ("http", "https"),
    "kafka": ("kafka", "kafka+tls"),
    "table": ("sqlite", "postgresql"),
}
_EXAMPLES: Final[Mapping[str, str]] = {
    "syslog": "tls://siem.example.com:6514",
    "otlp": "https://collector.example.com:4318/v1/logs",
    "elasticsearch": "https://elastic.example.com:9200",
    "webhook": "https://example.com/audit",
    "kafka": "kafka+tls://kafka1.example.com:9093,kafka2.example.com:9093",
    "table": "postgresql://audit@db.example.com/audit",
}
_UNSAFE: Final = ("http", "udp", "tcp", "kafka")


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """One sink. topic: Kafka's, or Elasticsearch's index or data stream, or the table's name.

    secret: of a webhook's signatures; a password (with `user`), an API key or a bearer token of the others.
    """

    name: str
    kind: str
    url: str = ""
    user: str = ""
    secret: str | None = field(default=None, repr=False)
    topic: str = "tenantgate-audit"
    tenants: frozenset[str] = frozenset()
    batch: int = 500
    timeout_s: float = 10.0
    max_behind_bytes: int = 1024**3
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def read_sinks(table: Table) -> tuple[SinkConfig, ...]:
    """All sinks of [audit]; what is wrong is added to the table's problems."""
    return tuple(_read_sink(name, sink) for name, sink in table.named_tables("sinks"))


def _read_sink(name: str, table: Table) -> SinkConfig:
    default = SinkConfig(name, "")
    kind = table.choice("type", "stdout", tuple(SCHEMES))
    config = SinkConfig(
        name,
        kind,
        url=table.optional_text("url") or "",
        user=table.optional_text("user") or "",
        secret=table.secret("secret"),
        topic=table.text("topic", "audit_events" if kind == "table" else default.topic),
        tenants=frozenset(table.strings("tenants")),
        batch=table.integer("batch", default.batch, 1, 10_000),
        timeout_s=table.duration("timeout_s", default.timeout_s, 0.1, 300),
        max_behind_bytes=table.size("max_behind_bytes", default.max_behind_bytes, 1, 2**50),
        ca_file=table.existing_file("ca_file"),
        certificate=table.existing_file("certificate"),
        key=table.existing_file("key"),
    )
    _check_name(table, name)
    _check_url(table, config)
    if (config.certificate is None) != (config.key is None):
        table.problem("certificate", "and key belong together", "Give both, or none.")
    if kind == "webhook" and not config.secret:
        table.problem("secret", "is missing", "The receiver tests signatures with it: openssl rand -base64 32")
    table.finish()
    return config


def _check_name(table: Table, name: str) -> None:
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii() or len(name) > 64:
        table.problem("", "is no name for a sink", "Letters, digits, - and _: a file is named after it.")


def _check_url(table: Table, config: SinkConfig) -> None:
    schemes = SCHEMES[config.kind]
    if not schemes:
        return
    hint = f"For example {_EXAMPLES[config.kind]}"
    scheme = config.url.partition("://")[0]
    if not config.url:
        table.problem("url", "is missing", hint)
    elif scheme not in schemes:
        table.problem("url", f"must begin with {' or '.join(f'{each}://' for each in schemes)}", hint)
    elif "@" in urlsplit(config.url).netloc and config.kind != "table":
        table.problem("url", "holds a user or password", "Give user, and secret_file or secret_env.")
    elif scheme in _UNSAFE and not _is_local(config.url):
        table.warn("url", "goes over the network without TLS", "Audit events hold what clients wrote.")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
