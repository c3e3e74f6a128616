"""One worker: a gateway on the listeners that it inherits, told what to do by its supervisor.

It drains and ends on SIGTERM, and when its supervisor is gone. A reload comes over the channel, so SIGHUP is nothing to
it, and neither is a terminal's Ctrl-C: the supervisor hears of both.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvloop

from policy.errors import TenantGateError
from policy.snapshot import Snapshot
from proxy.config import GatewayConfig
from proxy.console_state import GatewayConsoleState
from proxy.observe.logs import configure_logging
from proxy.open_files import allow_open_files
from proxy.policy_feed.first import databases_of
from proxy.policy_feed.follower import snapshot_of
from proxy.policy_feed.standing import Standing
from proxy.postgres.admin_console import rows_of
from proxy.server import Server
from proxy.workers.channel import Answer, Channel, Message, take_frame
from proxy.workers.orders import decode_batch, decode_orders, share_of, share_of_policy
from proxy.workers.peers import Peers
from proxy.workers.table import QuotaTable

logger = logging.getLogger(__name__)
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR2)


def main(control: int) -> int:
    """Serve until told to stop; 0: stopped, 2: it cannot serve."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    sock = socket.socket(fileno=control)
    begin, rest = _read_begin(sock)
    config, snapshot = decode_orders(begin.payload)
    configure_logging(config.log, worker=begin.fields["seat"])
    try:
        uvloop.run(Worker(begin.fields, sock).serve(config, snapshot, rest))
    except (TenantGateError, OSError) as error:
        logger.error("cannot serve: %s", error)
        return 2
    return 0


def _read_begin(sock: socket.socket) -> tuple[Message, bytes]:
    """The supervisor's first message, and what was read behind it."""
    buffer = bytearray()
    while (begin := take_frame(buffer)) is None:
        data = sock.recv(1024 * 1024)
        if not data:
            raise SystemExit(2)
        buffer += data
    return begin, bytes(buffer)


class Worker:
    """Lifetime: the process. `begin` is what the supervisor told it first: seat, index, count, descriptors."""

    def __init__(self, begin: Mapping[str, Any], sock: socket.socket) -> None:
        self._seat: int = begin["seat"]
        self._index: int = begin["index"]
        self._count: int = begin["count"]
        self._begin = begin
        self._changes = asyncio.Lock()  # fair, so that they come in their order
        self._sock = sock
        self._handlers: Mapping[str, Callable[[Message], Awaitable[Answer]]] = {
            "take": self._take,
            "entries": self._take_entries,
            "standing": self._take_standing,
            "accept": self._accept,
            "leave": self._leave,
            "cancel": self._cancel,
            "rows": self._rows,
            "kill": self._kill,
            "metrics": self._metrics,
            "readiness": self._readiness,
        }

    async def serve(self, config: GatewayConfig, snapshot: Snapshot, rest: bytes) -> None:
        """Serve until told to stop. Raises TenantGateError or OSError when it cannot."""
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        allow_open_files(config)
        channel = self._channel = Channel(self._handle, self._stop.set, rest)
        table = QuotaTable(self._begin["table"], self._seat)
        self._server = Server(*self._share(config, snapshot), Peers(self._seat, table, channel))
        self._listeners = {number: socket.socket(fileno=number) for number in self._begin["listeners"]}
        self._server.start()
        await channel.open(self._sock)
        channel.tell("ready", **self._chain())
        self._server.gateway.audit.on_sealed = lambda: channel.tell("sealed", **self._chain())
        await self._stop.wait()
        channel.tell("going")
        self._close_listeners()
        await self._server.shut_down()
        channel.tell("bye", **self._chain(), families=self._server.metrics().families())
        await channel.finish()
        logger.info("stopped")

    def _share(self, config: GatewayConfig, snapshot: Snapshot) -> tuple[GatewayConfig, Snapshot]:
        """Our share of them, which is remembered."""
        self._config, self._whole = config, snapshot
        self._shared = share_of_policy(snapshot, index=self._index, count=self._count)
        return share_of(config, seat=self._seat, index=self._index, count=self._count), self._shared

    def _chain(self) -> dict[str, Any]:
        """Where this worker's audit chain stands."""
        audit = self._server.gateway.audit
        return {"chain": audit.chain, "seq": audit.head.seq, "hash": audit.head.hash}

    async def _handle(self, message: Message) -> Answer:
        return await self._handlers[message.kind](message)

    async def _take(self, message: Message) -> Answer:
        async with self._changes:
            try:
                self._server.take(*self._share(*decode_orders(message.payload)))
            except TenantGateError as error:
                logger.error("reload refused, nothing changed: %s", error.message)
                return {"error": error.message}
        return {}

    async def _take_entries(self, message: Message) -> Answer:
        """What is new in the policy's store. When it does not fit what we have, the supervisor is asked for all."""
        batch = decode_batch(message.payload)
        async with self._changes:
            try:
                if batch.base != self._whole.version:
                    raise TenantGateError(f"entries after version {batch.base}, not {self._whole.version}")
                whole = await snapshot_of(batch, self._whole, databases_of(self._config))
                before = self._whole, self._shared
                shared = share_of_policy(whole, index=self._index, count=self._count, before=before)
                self._server.take_snapshot(shared)
                self._whole, self._shared = whole, shared
            except TenantGateError as error:
                logger.error("policy entries do not fit: %s", error.message)
                self._channel.tell("behind")
        return {}

    async def _take_standing(self, message: Message) -> Answer:
        self._server.gateway.take_standing(Standing(**message.fields))
        return {}

    async def _accept(self, message: Message) -> Answer:
        """Which listeners are ours now. We have them all, so that any worker can stand in for another."""
        self._server.accept_from([self._listeners[number] for number in message.fields["listeners"]])
        return {}

    def _close_listeners(self) -> None:
        """What waits there is for other processes that have them, too."""
        self._server.accept_from([])
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    async def _leave(self, message: Message) -> Answer:
        """Another generation serves now: sessions may end by themselves for a while, then they are drained."""
        self._close_listeners()
        logger.info("leaving", extra={"sessions": len(self._server.gateway.frontends)})
        loop = asyncio.get_running_loop()
        end = loop.time() + self._server.gateway.config.limits.drain_s
        while not self._server.is_empty and loop.time() < end:
            await asyncio.sleep(0.02)
        self._stop.set()
        return {}

    async def _cancel(self, message: Message) -> Answer:
        self._server.gateway.cancel_here(message.fields["pid"], bytes.fromhex(message.fields["key"]))
        return {}

    async def _rows(self, message: Message) -> Answer:
        rows = rows_of(message.fields["view"], GatewayConsoleState(self._server.gateway))
        return {"rows": [dataclasses.asdict(row) for row in rows]}

    async def _kill(self, message: Message) -> Answer:
        return {"killed": GatewayConsoleState(self._server.gateway).kill(message.fields["session"])}

    async def _metrics(self, message: Message) -> Answer:
        return {"families": self._server.metrics().families()}

    async def _readiness(self, message: Message) -> Answer:
        return dataclasses.asdict(self._server.readiness())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
