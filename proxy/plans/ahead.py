"""Long query strings are compiled in a thread, so that the event loop goes on serving everybody else meanwhile.

One thread, and tenants take turns: a tenant with many long texts waits for itself. (Worker processes come with the
issue on speed: a thread shares the interpreter, so others still feel a long compilation, in milliseconds, not seconds.)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from policy.errors import QuotaExceeded
from policy.sql.plan import CompiledQuery
from proxy.plans.cache import PlanScope

AHEAD_CHARACTERS = 8_192  # shorter texts compile in a few milliseconds at most
MAX_WAITING = 16  # long texts of one tenant

Done = Callable[[CompiledQuery | None], None]


@dataclass(frozen=True, slots=True)
class _Job:
    scope: PlanScope
    text: str
    wanted: Callable[[], bool]
    done: Done


class CompileAhead:
    """Lifetime: the gateway. Only the event loop's thread may touch it; results come back there."""

    __slots__ = ("_busy", "_executor", "_jobs")

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._jobs: dict[str, deque[_Job]] = {}  # by tenant; the first one's turn is next
        self._busy = False

    def submit(self, tenant: str, scope: PlanScope, text: str, wanted: Callable[[], bool], done: Done) -> None:
        """Compile `text` for `tenant`, if it is still `wanted` when its turn comes, and call `done` with the result.

        done(None): it failed, and will again when it is asked for. Raises QuotaExceeded when too many wait.
        """
        jobs = self._jobs.setdefault(tenant, deque())
        if len(jobs) >= MAX_WAITING:
            raise QuotaExceeded(
                f'too many long statements of tenant "{tenant}" wait to be compiled',
                quota="long_statements",
                retry_after_s=1.0,
            )
        jobs.append(_Job(scope, text, wanted, done))
        self._next()

    def _next(self) -> None:
        while self._jobs and not self._busy:
            tenant = next(iter(self._jobs))
            jobs = self._jobs.pop(tenant)
            job = jobs.popleft()
            if jobs:
                self._jobs[tenant] = jobs  # at the end: it is the others' turn
            if job.wanted():
                self._busy = True
                future = asyncio.get_running_loop().run_in_executor(self._executor, job.scope.compile, job.text)
                future.add_done_callback(lambda finished, job=job: self._finished(job, finished))  # type: ignore[misc]

    def _finished(self, job: _Job, finished: asyncio.Future[CompiledQuery]) -> None:
        self._busy = False
        failed = finished.cancelled() or finished.exception() is not None
        try:
            job.done(None if failed else finished.result())
        finally:
            self._next()

    def close(self) -> None:
        """Forget what waits; what is being compiled is not waited for."""
        self._jobs.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)
