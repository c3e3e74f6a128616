"""An audit event as a syslog message (RFC 5424), and how messages are framed on a stream (RFC 6587, RFC 5425). Pure."""

from __future__ import annotations

import re
from typing import Final

from proxy.audit.sinks.sink import SEVERITIES, Record

FACILITY: Final = 13  # log audit
MAX_DATAGRAM_BYTES: Final = 8192
SD_ID: Final = "tenantgate@32473"  # the number that RFC 5612 keeps for documentation: we have none of our own
_MEMBERS: Final = ("tenant", "subject", "session", "client", "outcome", "sqlstate", "fingerprint")
_NOT_PRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
_MAX_VALUE_CHARS: Final = 512


def encode_message(record: Record, hostname: str, *, limit_bytes: int | None = None) -> bytes:
    """The message; its text is the event's JSON line, cut (and said to be so) where `limit_bytes` ask for it."""
    message = _header(record, hostname) + f"[{_data(record)}] ".encode() + record.line
    if limit_bytes is None or len(message) <= limit_bytes:
        return message
    head = _header(record, hostname) + f'[{_data(record)} cut="{len(record.line)}"] '.encode()
    cut = record.line[: max(limit_bytes - len(head), 0)]
    return head + cut.decode("utf-8", "ignore").encode()


def frame(message: bytes) -> bytes:
    """Octet counting: RFC 6587 section 3.4.1, RFC 5425 section 4.3."""
    return b"%d %s" % (len(message), message)


def _header(record: Record, hostname: str) -> bytes:
    priority = FACILITY * 8 + SEVERITIES[record.level]
    host, kind = _name(hostname, 255), _name(record.text("event"), 32)
    return f"<{priority}>1 {record.timestamp} {host} tenantgate - {kind} ".encode()


def _data(record: Record) -> str:
    values = [("id", record.id), ("chain", record.chain), ("seq", str(record.seq))]
    values += [(name, text) for name in _MEMBERS if (text := record.text(name))]
    return " ".join([SD_ID, *(f'{name}="{_value(value)}"' for name, value in values)])


def _name(text: str, limit: int) -> str:
    return _NOT_PRINTABLE.sub("_", text)[:limit] or "-"


def _value(text: str) -> str:
    clean = text[:_MAX_VALUE_CHARS].encode("utf-8", "replace").decode()
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]").replace("\n", " ")
