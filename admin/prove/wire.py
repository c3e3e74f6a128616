"""Run steps on one connection, many at a time: requests go out in one write, outcomes are read one after the other."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

from admin.prove.steps import Outcome, Result, Step
from proxy.config import TargetConfig
from proxy.errors import BackendLost
from proxy.postgres.backend import BackendConnection, connect_backend
from proxy.postgres.backend_inbox import QUERY_LIMIT_BYTES, Inbox
from proxy.postgres.wire.framing import HEADER_BYTES
from proxy.postgres.wire.messages import COPY_DONE, SYNC, encode, encode_copy_data, encode_parse, encode_query
from proxy.postgres.wire.replies import decode_error_fields

STEP_TIMEOUT_S = 60.0


class Lane:
    """A connection that answers steps in order. `closed` when it cannot be used any more."""

    def __init__(self, backend: BackendConnection) -> None:
        self._backend = backend
        self._inbox = Inbox(QUERY_LIMIT_BYTES)
        backend.attach(self)

    @property
    def closed(self) -> bool:
        return self._backend.closed

    async def run(self, steps: Sequence[Step]) -> list[Outcome]:
        """Send the steps, as many at once as may be, and return their outcomes. Raises BackendLost."""
        if self.closed:
            raise BackendLost("the connection is closed")
        outcomes: list[Outcome] = []
        for number, step in enumerate(steps):
            if step.alone:
                outcomes += await self._send(steps[len(outcomes) : number])
                outcomes += await self._send([step])
        return outcomes + await self._send(steps[len(outcomes) :])

    async def _send(self, steps: Sequence[Step]) -> list[Outcome]:
        self._backend.write(b"".join(encode_step(step) for step in steps))
        async with asyncio.timeout(STEP_TIMEOUT_S):
            return [await self._outcome() for _ in steps]

    async def _outcome(self) -> Outcome:
        outcome = Outcome()
        result = Result()
        while True:
            message = await self._inbox.take()
            tag = message[0]
            if tag == 0x5A:  # ReadyForQuery
                outcome.status = chr(message[HEADER_BYTES])
                return outcome
            if tag == 0x45:  # ErrorResponse
                outcome.error = {code: text.decode() for code, text in decode_error_fields(message).items()}
            elif tag == 0x54:  # RowDescription
                result.columns = decode_columns(message)
            elif tag == 0x44:  # DataRow
                result.rows.append(decode_row(message))
            elif tag == 0x64:  # CopyData
                result.copied.append(message[HEADER_BYTES:])
            elif tag in b"Cs":  # CommandComplete, PortalSuspended
                result.tag = message[HEADER_BYTES:-1].decode() if tag == 0x43 else "suspended"
                outcome.results.append(result)
                result = Result()

    def backend_data(self, data: bytes) -> None:
        self._inbox.feed(data)

    def backend_lost(self, error: Exception | None) -> None:
        self._inbox.fail(BackendLost(f"the connection was lost: {error}"))

    def backend_pause_writing(self) -> None: ...
    def backend_resume_writing(self) -> None: ...

    def close(self) -> None:
        self._backend.close()


async def open_lane(target: TargetConfig, database: str, **settings: str) -> Lane:
    """Log in. Raises TargetUnavailable."""
    return Lane(await connect_backend(target, database, protocol_options=settings))


def encode_step(step: Step) -> bytes:
    """The request of a step; every one is answered by one ReadyForQuery."""
    if step.parameters is not None:
        return encode_extended(step)
    request = encode_query(step.sql.encode())
    if step.copy_data is not None:
        request += encode_copy_data(step.copy_data) + COPY_DONE
    return request


def encode_extended(step: Step) -> bytes:
    return b"".join(_extended(each) for each in (step, *step.chained)) + SYNC


def _extended(step: Step) -> bytes:
    parameters, name = step.parameters or (), step.statement.encode()
    types = struct.pack(f"!H{len(parameters)}I", len(parameters), *(oid for oid, _ in parameters))
    values = b"".join(_parameter(value) for _, value in parameters)
    formats = struct.pack("!HH", 1, 1) if step.binary else b"\0\0"
    bind = b"\0" + name + b"\0" + struct.pack("!HH", 0, len(parameters)) + values + formats
    return b"".join(
        (
            b"" if step.parsed else encode_parse(name, step.sql.encode(), types),
            encode(b"B", bind),
            encode(b"D", b"P\0"),
            encode(b"E", b"\0" + struct.pack("!i", step.max_rows)),
        )
    )


def _parameter(value: str | None) -> bytes:
    if value is None:
        return b"\xff\xff\xff\xff"
    data = value.encode()
    return struct.pack("!i", len(data)) + data


def decode_columns(message: bytes) -> tuple[tuple[str, int, int], ...]:
    """(name, type OID, type modifier) of each column of a RowDescription."""
    columns = []
    position = HEADER_BYTES + 2
    for _ in range(struct.unpack_from("!H", message, HEADER_BYTES)[0]):
        stop = message.index(0, position)
        _, _, oid, _, modifier, _ = struct.unpack_from("!IHIhiH", message, stop + 1)
        columns.append((message[position:stop].decode(), oid, modifier))
        position = stop + 19
    return tuple(columns)


def decode_row(message: bytes) -> tuple[bytes | None, ...]:
    values: list[bytes | None] = []
    position = HEADER_BYTES + 2
    for _ in range(struct.unpack_from("!H", message, HEADER_BYTES)[0]):
        length = struct.unpack_from("!i", message, position)[0]
        position += 4
        values.append(None if length < 0 else message[position : position + length])
        position += max(length, 0)
    return tuple(values)
