"""A worker as its supervisor sees it: a process, the channel to it, and what it last told."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import proxy
from proxy.observe.metrics import Family
from proxy.workers.channel import Channel, Handle


@dataclass(slots=True, eq=False)
class Process:
    """Lifetime: the process's, and a supervisor's that takes over. seat: its own among all; index: its share's.

    leaving: it was told to drain, so that its end is no surprise.
    """

    seat: int
    index: int
    pid: int
    control: int  # our end's descriptor, to hand on
    started_at: float
    ready: bool = False
    serving: bool = False  # its generation is the one that accepts
    leaving: bool = False
    again: bool = False  # in the place of one that had ended
    ended: bool = False
    chain: Mapping[str, Any] = field(default_factory=dict)
    report: Sequence[Family] = ()
    channel: Channel | None = None
    arrived: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def arrive(self, ready: bool) -> None:
        """It serves now; or it has ended without."""
        self.ready = ready
        if not self.arrived.done():
            self.arrived.set_result(ready)

    async def connect(self, handle: Handle, rest: bytes = b"") -> None:
        """Begin to talk to it."""
        self.channel = Channel(handle, _nothing, rest)
        await self.channel.open(socket.socket(fileno=os.dup(self.control)))

    def tell(self, kind: str, payload: bytes = b"", **fields: Any) -> None:
        """Send it a message, if it can hear."""
        if self.channel is not None:
            self.channel.tell(kind, payload, **fields)

    def signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def status(self) -> int | None:
        """How it has ended, as `os.waitstatus_to_exitcode` says; None while it runs. Forgets the process then."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return -1
        return None if pid == 0 else os.waitstatus_to_exitcode(status)

    def forget(self) -> None:
        """It has ended."""
        os.close(self.control)

    def state(self) -> dict[str, Any]:
        """All of it for the image that takes over."""
        names = (
            "seat",
            "index",
            "pid",
            "control",
            "started_at",
            "ready",
            "serving",
            "leaving",
            "again",
            "chain",
            "report",
        )
        rest = self.channel.rest.hex() if self.channel is not None else ""
        return {**{name: getattr(self, name) for name in names}, "rest": rest}


def start_process(seat: int, index: int, inherited: Sequence[int]) -> Process:
    """Start one; it waits for its first message."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-P", "-m", "proxy.workers.worker", str(theirs.fileno())]
        child = subprocess.Popen(
            command, pass_fds=(theirs.fileno(), *inherited), stdin=subprocess.DEVNULL, env=environment(),
            start_new_session=True,
        )  # fmt: skip
    child.returncode = 0  # it is we who wait for it, not its object
    return Process(seat, index, child.pid, ours.detach(), time.monotonic())


def environment() -> dict[str, str]:
    """Ours, with the place of this code."""
    return {**os.environ, "PYTHONPATH": str(Path(proxy.__file__).parents[1])}


def _nothing() -> None:
    """Its end is seen by SIGCHLD."""
