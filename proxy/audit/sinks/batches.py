"""The base of sinks that POST a batch which is taken or refused as a whole: OTLP and webhooks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from proxy.audit.sinks.sink import Outcome, Record
from proxy.audit.sinks.transport import halved, make_client, post, reason_of
from proxy.config_sinks import SinkConfig


class PostingSink(ABC):
    """Posts to `config.url`. A refused batch is halved until the records that are refused alone stand out."""

    def __init__(self, config: SinkConfig) -> None:
        self.config = config
        self._client = make_client(config)

    @abstractmethod
    def encode(self, records: Sequence[Record]) -> tuple[bytes, Mapping[str, str]]:
        """The body and its headers."""

    async def send(self, records: Sequence[Record]) -> Outcome:
        body, headers = self.encode(records)
        response = await post(self._client, self.config.url, body, headers)
        if response.is_success:
            return Outcome()
        halves = halved(records, f"HTTP {response.status_code}: {reason_of(response)}")
        if isinstance(halves, Outcome):
            return halves
        first, second = await self.send(halves[0]), await self.send(halves[1])
        return Outcome([*first.retry, *second.retry], [*first.rejected, *second.rejected])

    async def close(self) -> None:
        await self._client.aclose()
