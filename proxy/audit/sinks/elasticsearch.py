"""Elasticsearch and OpenSearch by their bulk API: each event is created under its id, so a second time does nothing.

`topic` is an index or a data stream; `secret` an API key, or with `user` a password. Each item of the answer is looked
at: 409 is there already, 429 and 5xx are tried again, other refusals (a mapping that does not fit) are for good.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from proxy.audit.sinks.sink import Outcome, Record, SinkUnavailable
from proxy.audit.sinks.transport import halved, make_client, post, reason_of
from proxy.config_sinks import SinkConfig


class ElasticsearchSink:
    """One sink on one cluster's address."""

    def __init__(self, config: SinkConfig) -> None:
        self._client = make_client(config)
        self._url = config.url.rstrip("/") + "/_bulk"
        self._index = config.topic
        self._headers = {"content-type": "application/x-ndjson", **_authorization(config)}

    async def send(self, records: Sequence[Record]) -> Outcome:
        body = b"".join(self._item(record) for record in records)
        response = await post(self._client, self._url, body, self._headers)
        if response.is_success:
            return _outcome(records, response.content)
        halves = halved(records, f"HTTP {response.status_code}: {reason_of(response)}")
        if isinstance(halves, Outcome):
            return halves
        first, second = await self.send(halves[0]), await self.send(halves[1])
        return Outcome([*first.retry, *second.retry], [*first.rejected, *second.rejected])

    def _item(self, record: Record) -> bytes:
        action = json.dumps({"create": {"_index": self._index, "_id": record.id}})
        members = {"@timestamp": record.timestamp, "chain": record.chain, "level": record.level}
        return f"{action}\n{json.dumps({**members, **record.event})}\n".encode()

    async def close(self) -> None:
        await self._client.aclose()


def _authorization(config: SinkConfig) -> dict[str, str]:
    if not config.secret:
        return {}
    if config.user:
        return {"authorization": "Basic " + base64.b64encode(f"{config.user}:{config.secret}".encode()).decode()}
    return {"authorization": f"ApiKey {config.secret}"}


def _outcome(records: Sequence[Record], answer: bytes) -> Outcome:
    try:
        items = json.loads(answer)["items"]
        statuses = [next(iter(item.values())) for item in items]
        if len(statuses) != len(records):
            raise ValueError(f"{len(statuses)} answers to {len(records)} events")
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise SinkUnavailable(f"this is no answer to a bulk request: {error}") from error
    outcome = Outcome()
    for record, item in zip(records, statuses, strict=True):
        _sort(record, item, outcome)
    return outcome


def _sort(record: Record, item: Mapping[str, object], outcome: Outcome) -> None:
    status = item.get("status")
    if not isinstance(status, int) or status == 429 or status >= 500:
        outcome.retry.append(record)
    elif status >= 300 and status != 409:
        outcome.rejected.append((record, f"{status}: {json.dumps(item.get('error'))[:300]}"))
