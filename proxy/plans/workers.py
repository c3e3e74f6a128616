"""One process that compiles, seen from the gateway: started when it is needed, killed when it takes too long.

Access and catalog are sent once and then named by number; what was not used for long is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import proxy
from policy.sql.plan import CompiledQuery
from proxy.plans.cache import PlanScope
from proxy.plans.transport import HEADER, Compile, Compiled, Drop, Put, decode, encode

logger = logging.getLogger(__name__)

TIMEOUT_S = 30.0  # the process's own limit is of processor time; this is for a machine that gives it none
_PRIORITY = 10  # it gives way to the event loop
_MAX_KNOWN = 32  # accesses and catalogs that a process keeps
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


class WorkerLost(Exception):
    """The process ended, or had to be killed, before it answered."""


class Worker:
    """Lifetime: the gateway; its process's is shorter. One text at a time."""

    __slots__ = ("_known", "_next", "_process")

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._known: dict[int, tuple[int, object]] = {}  # by id(): number and the object itself, least used first
        self._next = 0

    async def compile(self, scope: PlanScope, text: str) -> CompiledQuery | None:
        """What `text` becomes in `scope`; None: a bug, which is logged. Raises WorkerLost."""
        process = await self._running()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._ask(process, scope, text)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            await self.close()
            await self._running()  # for the next text, which need not wait for it then
            raise WorkerLost(f"{type(error).__name__}, exit status {process.returncode}") from None
        except BaseException:
            self._kill()
            raise
        if answer.query is None:
            logger.error("a statement could not be compiled:\n%s", answer.error)
        return answer.query

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._known.clear()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "proxy.plans.worker", stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, env=environment(), start_new_session=True,
            )  # fmt: skip
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _PRIORITY)
        return self._process

    async def _ask(self, process: asyncio.subprocess.Process, scope: PlanScope, text: str) -> Compiled:
        assert process.stdin is not None
        assert process.stdout is not None
        access, catalog = (self._number(process.stdin, value) for value in (scope.access, scope.catalog))
        process.stdin.write(encode(Compile(access, catalog, scope.schema, text)))
        await process.stdin.drain()
        header = await process.stdout.readexactly(HEADER.size)
        answer: Compiled = decode(await process.stdout.readexactly(HEADER.unpack(header)[0]))
        return answer

    def _number(self, pipe: asyncio.StreamWriter, value: object) -> int:
        """The number under which the process has `value`; it is sent when it is new."""
        found = self._known.pop(id(value), None)
        if found is None:
            self._next += 1
            found = (self._next, value)
            pipe.write(encode(Put(*found)))
            if len(self._known) >= _MAX_KNOWN:
                oldest, _ = self._known.pop(next(iter(self._known)))
                pipe.write(encode(Drop(oldest)))
        self._known[id(value)] = found
        return found[0]

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._kill()
            await self._process.wait()


def environment() -> dict[str, str]:
    """Where the code is, and nothing else of ours: the gateway's variables may hold secrets."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return kept | {"PYTHONPATH": str(Path(proxy.__file__).parents[1])}
