"""Events as JSON lines on standard output, as they stand in the log: for containers, whose runtime collects them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from proxy.audit.sinks.sink import Outcome, Record, SinkUnavailable


class StdoutSink:
    """Writes to a stream of bytes, each batch flushed before it counts."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    async def send(self, records: Sequence[Record]) -> Outcome:
        try:
            self._out.write(b"".join(record.line + b"\n" for record in records))
            self._out.flush()
        except OSError as error:
            raise SinkUnavailable(f"standard output: {error.strerror}") from error
        return Outcome()

    async def close(self) -> None:
        pass
