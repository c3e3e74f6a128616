"""Long texts, and those of tenants with many new ones, are compiled in processes of their own.

So the event loop goes on serving everybody else. Tenants take turns, and each has one text under way at most: a tenant
with many long or hostile texts waits for itself. What a process cannot compile within its limits is refused.

Sessions of a tenant that send the same text, or texts of one shape, wait for one compilation. Where its plan turns out
to hang on a literal, those with other literals get one of their own. Tenants do not wait for each other's: one could
have another wait behind all of its own. What another has had compiled meanwhile is taken as it is.
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
from policy.sql.shape import shape_of
from proxy.plans.cache import PlanScope
from proxy.plans.errors import CompilationFailed, TooComplex
from proxy.plans.workers import Worker, WorkerLost

logger = logging.getLogger(__name__)

AHEAD_CHARACTERS = 1_024  # shorter texts compile in a few milliseconds at most
MAX_WAITING = 1_000  # texts of one tenant; each is held by a session, and its memory counted there
WORKERS = 2

Done = Callable[[CompiledQuery], None]
_Key = tuple[str, int, str]  # tenant, id() of the scope, shape or text


@dataclass(frozen=True, slots=True)
class _Waiter:
    """A session's text."""

    text: str
    wanted: Callable[[], bool]
    done: Done


@dataclass(slots=True)
class _Job:
    """One text to compile, and who waits for it. The first one's text is the one that is compiled."""

    scope: PlanScope
    key: _Key
    waiters: list[_Waiter]

    @property
    def text(self) -> str:
        return self.waiters[0].text

    @property
    def wanted(self) -> bool:
        """Somebody does; those that do not any more are forgotten."""
        self.waiters = [waiter for waiter in self.waiters if waiter.wanted()]
        return bool(self.waiters)


class CompileAhead:
    """Lifetime: the gateway. Only the event loop's thread may touch it; results come back there."""

    __slots__ = ("_by_key", "_idle", "_jobs", "_running", "_workers")

    def __init__(self, workers: int = WORKERS) -> None:
        self._workers = [Worker() for _ in range(workers)]
        self._idle = list(self._workers)
        self._jobs: dict[str, deque[_Job]] = {}  # by tenant; the first one's turn is next
        self._by_key: dict[_Key, _Job] = {}  # waiting and under way
        self._running: dict[str, asyncio.Task[None]] = {}  # by tenant

    def submit(self, tenant: str, scope: PlanScope, text: str, wanted: Callable[[], bool], done: Done) -> None:
        """Compile `text` for `tenant`, if it is still `wanted` when its turn comes, and call `done` with the result.

        What cannot be compiled comes as a query that is refused. Raises QuotaExceeded when too many wait.
        """
        shape = shape_of(text)
        self._submit(tenant, scope, _Waiter(text, wanted, done), text if shape is None else shape.key)

    def _submit(self, tenant: str, scope: PlanScope, waiter: _Waiter, name: str) -> None:
        key = (tenant, id(scope), name)
        job = self._by_key.get(key)
        if job is not None:
            job.waiters.append(waiter)
            return
        jobs = self._jobs.setdefault(tenant, deque())
        if len(jobs) >= MAX_WAITING:
            raise QuotaExceeded(
                f'too many statements of tenant "{tenant}" wait to be compiled',
                quota="long_statements",
                retry_after_s=1.0,
            )
        job = self._by_key[key] = _Job(scope, key, [waiter])
        jobs.append(job)
        self._next()

    def _next(self) -> None:
        """Give idle workers the next texts of tenants that have none under way."""
        for tenant in [t for t in self._jobs if t not in self._running]:
            jobs = self._jobs[tenant]
            while jobs and (not jobs[0].wanted or self._is_known(jobs[0])):
                del self._by_key[jobs.popleft().key]
            if not jobs:
                del self._jobs[tenant]
            elif self._idle:
                self._start(tenant, jobs.popleft(), self._idle.pop())

    def _is_known(self, job: _Job) -> bool:
        """Whether somebody else has had it compiled by now; then it is answered."""
        found = job.scope.find(job.text)
        if found is not None:
            asyncio.get_running_loop().call_soon(self._answer, job, job.text, found)
        return found is not None

    def _start(self, tenant: str, job: _Job, worker: Worker) -> None:
        if self._jobs[tenant]:
            self._jobs[tenant] = self._jobs.pop(tenant)  # at the end: it is the others' turn
        else:
            del self._jobs[tenant]
        task = asyncio.get_running_loop().create_task(self._run(tenant, job, worker))
        self._running[tenant] = task

    async def _run(self, tenant: str, job: _Job, worker: Worker) -> None:
        text = job.text
        try:
            result = await _compile(tenant, job.scope, text, worker)
        finally:
            del self._running[tenant]
            self._by_key.pop(job.key, None)
            self._idle.append(worker)
        self._answer(job, text, result)
        self._next()

    def _answer(self, job: _Job, text: str, result: CompiledQuery) -> None:
        """The result of `text` for all who waited; texts that it does not stand for are compiled, too."""
        for waiter in job.waiters:
            try:
                if result.by_shape or waiter.text == text:
                    waiter.done(result)
                elif waiter.wanted():
                    self._submit(job.key[0], job.scope, waiter, waiter.text)
            except QuotaExceeded as error:
                waiter.done(refused_query(waiter.text, TooComplex(error.message, sqlstate=error.sqlstate)))
            except Exception:  # of one session; the others wait, too
                logger.exception("a compiled text could not be used")

    async def close(self) -> None:
        """Forget what waits, end what is being compiled and the processes."""
        self._jobs.clear()
        self._by_key.clear()
        running = tuple(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for worker in self._workers:
            await worker.close()


async def _compile(tenant: str, scope: PlanScope, text: str, worker: Worker) -> CompiledQuery:
    try:
        query = await worker.compile(scope, text)
    except WorkerLost as lost:
        logger.warning("a text could not be compiled within limits", extra={"tenant": tenant, "reason": str(lost)})
        return refused_query(text, _too_complex())
    except OSError as error:  # no process to be had
        logger.error("cannot start a process to compile: %s", error)
        return refused_query(text, CompilationFailed("the statement could not be compiled"))
    if query is None:
        return refused_query(text, CompilationFailed("the statement could not be compiled"))
    return query


def _too_complex() -> TooComplex:
    return TooComplex(
        "the statement takes too long, or too much memory, to be compiled",
        hint="Split it, send the data with COPY, or pass it as an array parameter.",
    )
