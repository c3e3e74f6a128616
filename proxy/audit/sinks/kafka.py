"""Kafka (aiokafka): one message an event, keyed by tenant so that one tenant's events keep their order in a partition,
acknowledged by all replicas that are in sync. The producer is idempotent, and each message has its id as a header."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from proxy.audit.sinks.sink import Outcome, Record, SinkUnavailable, SinkUnusable
from proxy.audit.sinks.transport import tls_context
from proxy.config_sinks import SinkConfig

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer


class KafkaSink:
    """One producer at a time, made again after a failure."""

    def __init__(self, config: SinkConfig) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None
        try:
            import aiokafka
        except ImportError as error:
            hint = "Install it: pip install 'tenantgate[kafka]'"
            raise SinkUnusable(f"sink {config.name} needs aiokafka", hint=hint) from error
        self._kafka = aiokafka

    async def send(self, records: Sequence[Record]) -> Outcome:
        from aiokafka.errors import KafkaError

        try:
            async with asyncio.timeout(self._config.timeout_s):
                producer = await self._ready()
                waiting = [await self._put(producer, record) for record in records]
            arrived = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), self._config.timeout_s)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise SinkUnavailable(f"{type(error).__name__}: {error}") from error
        return Outcome(retry=[r for r, said in zip(records, arrived, strict=True) if isinstance(said, Exception)])

    async def _put(self, producer: AIOKafkaProducer, record: Record) -> Any:
        key = record.text("tenant").encode() or record.chain.encode()
        headers = [("id", record.id.encode()), ("event", record.text("event").encode())]
        return await producer.send(self._config.topic, record.line, key=key, headers=headers)

    async def _ready(self) -> AIOKafkaProducer:
        if self._producer is None:
            scheme, _, brokers = self._config.url.partition("://")
            tls = scheme == "kafka+tls"
            options: dict[str, Any] = {"security_protocol": "SSL" if tls else "PLAINTEXT"}
            if tls:
                options["ssl_context"] = tls_context(self._config)
            if self._config.user:
                options |= {
                    "security_protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
                    "sasl_mechanism": "SCRAM-SHA-512",
                    "sasl_plain_username": self._config.user,
                    "sasl_plain_password": self._config.secret or "",
                }
            producer = self._kafka.AIOKafkaProducer(
                bootstrap_servers=brokers.rstrip("/").split(","), acks="all", enable_idempotence=True,
                client_id="tenantgate-audit", request_timeout_ms=int(self._config.timeout_s * 1000), **options,
            )  # fmt: skip
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
