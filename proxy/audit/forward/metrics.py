"""What the forwarder tells Prometheus of its sinks (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from proxy.audit.forward.forwarder import SinkStatus

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SERIES: Final[tuple[tuple[str, str, str, Callable[[SinkStatus], float]], ...]] = (
    ("delivered_total", "counter", "Events that the sink has taken.", lambda s: s.delivered),
    ("rejected_total", "counter", "Events that the sink refused for good; kept in a file.", lambda s: s.rejected),
    ("failures_total", "counter", "Deliveries that failed and are tried again.", lambda s: s.failures),
    ("missing_total", "counter", "Lines removed before they were forwarded.", lambda s: s.missing),
    ("astray_total", "counter", "Lines that do not follow the one before them.", lambda s: s.astray),
    ("behind_bytes", "gauge", "Bytes of the log that the sink does not have yet.", lambda s: s.behind_bytes),
    ("up", "gauge", "1 if the last delivery succeeded.", lambda s: int(s.up)),
    ("last_delivery_seconds", "gauge", "When the last batch arrived.", lambda s: s.last_delivery),
)


def render(statuses: Iterable[SinkStatus]) -> str:
    """All series of all sinks."""
    known = list(statuses)
    lines: list[str] = []
    for name, kind, text, value in _SERIES:
        full = f"tenantgate_audit_sink_{name}"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
        lines += [f'{full}{{sink="{status.name}"}} {value(status):g}' for status in known]
    return "\n".join(lines) + "\n"
