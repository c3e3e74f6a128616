"""OpenTelemetry logs over HTTP with the JSON encoding of OTLP 1.x (opentelemetry-proto, logs/v1).

A collector that answers with partialSuccess has dropped records and asks not to be sent them again, without saying
which: that is counted and told as a rejection of none in particular.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from proxy.audit.sinks.batches import PostingSink
from proxy.audit.sinks.sink import Record
from proxy.observe.version import product_version

_SEVERITIES: Final[Mapping[str, int]] = {"info": 9, "notice": 10, "warning": 13, "error": 17, "critical": 21}
_MEMBERS: Final[Mapping[str, str]] = {
    "tenant": "tenantgate.tenant",
    "subject": "enduser.id",
    "session": "session.id",
    "client": "client.address",
    "command": "db.operation.name",
    "outcome": "tenantgate.outcome",
    "decision": "tenantgate.decision",
    "fingerprint": "tenantgate.fingerprint",
    "sqlstate": "db.response.status_code",
}
logger = logging.getLogger(__name__)


class OtlpSink(PostingSink):
    """`url` is the whole address, such as http://collector:4318/v1/logs; `secret` a bearer token."""

    def encode(self, records: Sequence[Record]) -> tuple[bytes, Mapping[str, str]]:
        resource = [_attribute("service.name", "tenantgate"), _attribute("service.version", product_version())]
        logs = {"scope": {"name": "tenantgate.audit"}, "logRecords": [_log_record(record) for record in records]}
        body = {"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [logs]}]}
        headers = {"content-type": "application/json"}
        if self.config.secret:
            headers["authorization"] = f"Bearer {self.config.secret}"
        return json.dumps(body).encode(), headers


def _log_record(record: Record) -> dict[str, object]:
    attributes = [
        _attribute("tenantgate.id", record.id),
        _attribute("tenantgate.chain", record.chain),
        {"key": "tenantgate.seq", "value": {"intValue": str(record.seq)}},
        *(_attribute(key, text) for name, key in _MEMBERS.items() if (text := record.text(name))),
    ]
    return {
        "timeUnixNano": str(int(record.time * 1_000_000) * 1000),
        "observedTimeUnixNano": str(time.time_ns()),
        "severityNumber": _SEVERITIES[record.level],
        "severityText": record.level.upper(),
        "eventName": f"tenantgate.{record.text('event')}",
        "body": {"stringValue": record.line.decode("utf-8", "replace")},
        "attributes": attributes,
    }


def _attribute(key: str, text: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": text}}
