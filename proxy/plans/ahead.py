"""Long texts, and those of tenants with many new ones, are compiled in processes of their own.

So the event loop goes on serving everybody else. Tenants take turns, and each has one text under way at most: a tenant
with many long or hostile texts waits for itself. What a process cannot compile within its limits is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from policy.errors import QuotaExceeded
from policy.sql.compile import refused_query
from policy.sql.plan import CompiledQuery
from proxy.plans.cache import CompilationFailed, PlanScope, TooComplex
from proxy.plans.workers import Worker, WorkerLost

logger = logging.getLogger(__name__)

AHEAD_CHARACTERS = 1_024  # shorter texts compile in a few milliseconds at most
MAX_WAITING = 1_000  # texts of one tenant; each is held by a session, and its memory counted there
WORKERS = 2

Done = Callable[[CompiledQuery], None]


@dataclass(frozen=True, slots=True)
class _Job:
    scope: PlanScope
    text: str
    wanted: Callable[[], bool]
    done: Done


class CompileAhead:
    """Lifetime: the gateway. Only the event loop's thread may touch it; results come back there."""

    __slots__ = ("_idle", "_jobs", "_running", "_workers")

    def __init__(self, workers: int = WORKERS) -> None:
        self._workers = [Worker() for _ in range(workers)]
        self._idle = list(self._workers)
        self._jobs: dict[str, deque[_Job]] = {}  # by tenant; the first one's turn is next
        self._running: dict[str, asyncio.Task[None]] = {}  # by tenant

    def submit(self, tenant: str, scope: PlanScope, text: str, wanted: Callable[[], bool], done: Done) -> None:
        """Compile `text` for `tenant`, if it is still `wanted` when its turn comes, and call `done` with the result.

        What cannot be compiled comes as a query that is refused. Raises QuotaExceeded when too many wait.
        """
        jobs = self._jobs.setdefault(tenant, deque())
        if len(jobs) >= MAX_WAITING:
            raise QuotaExceeded(
                f'too many statements of tenant "{tenant}" wait to be compiled',
                quota="long_statements",
                retry_after_s=1.0,
            )
        jobs.append(_Job(scope, text, wanted, done))
        self._next()

    def _next(self) -> None:
        """Give idle workers the next texts of tenants that have none under way."""
        for tenant in [t for t in self._jobs if t not in self._running]:
            jobs = self._jobs[tenant]
            while jobs and not jobs[0].wanted():
                jobs.popleft()
            if not jobs:
                del self._jobs[tenant]
            elif self._idle:
                self._start(tenant, jobs.popleft(), self._idle.pop())

    def _start(self, tenant: str, job: _Job, worker: Worker) -> None:
        if self._jobs[tenant]:
            self._jobs[tenant] = self._jobs.pop(tenant)  # at the end: it is the others' turn
        else:
            del self._jobs[tenant]
        task = asyncio.get_running_loop().create_task(self._run(tenant, job, worker))
        self._running[tenant] = task

    async def _run(self, tenant: str, job: _Job, worker: Worker) -> None:
        try:
            result = await _compile(tenant, job, worker)
        finally:
            del self._running[tenant]
            self._idle.append(worker)
        try:
            job.done(result)
        finally:
            self._next()

    async def close(self) -> None:
        """Forget what waits, end what is being compiled and the processes."""
        self._jobs.clear()
        running = tuple(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for worker in self._workers:
            await worker.close()


async def _compile(tenant: str, job: _Job, worker: Worker) -> CompiledQuery:
    try:
        query = await worker.compile(job.scope, job.text)
    except WorkerLost as lost:
        logger.warning("a text could not be compiled within limits", extra={"tenant": tenant, "reason": str(lost)})
        return refused_query(job.text, _too_complex())
    except OSError as error:  # no process to be had
        logger.error("cannot start a process to compile: %s", error)
        return refused_query(job.text, CompilationFailed("the statement could not be compiled"))
    if query is None:
        return refused_query(job.text, CompilationFailed("the statement could not be compiled"))
    return query


def _too_complex() -> TooComplex:
    return TooComplex(
        "the statement takes too long, or too much memory, to be compiled",
        hint="Split it, send the data with COPY, or pass it as an array parameter.",
    )
