"""Long query strings are compiled in a thread, so that the event loop goes on serving everybody else meanwhile.

One thread: long statements wait for each other, not for them the short ones. (Worker processes come with the issue on
speed: a thread shares the interpreter, so others still feel a long compilation, in milliseconds instead of seconds.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from policy.sql.plan import CompiledQuery
from proxy.plans.cache import PlanScope

AHEAD_CHARACTERS = 8_192  # shorter texts compile in a few milliseconds at most


class CompileAhead:
    """Lifetime: the gateway. Results come back on the event loop."""

    __slots__ = ("_executor",)

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="compile")

    def submit(self, scope: PlanScope, text: str, done: Callable[[CompiledQuery | None], None]) -> None:
        """Compile `text` and call `done` with the result; None: it failed, and will again when it is asked for."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, scope.compile, text)
        future.add_done_callback(lambda finished: done(_result(finished)))

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _result(finished: asyncio.Future[CompiledQuery]) -> CompiledQuery | None:
    if finished.cancelled() or finished.exception() is not None:
        return None
    return finished.result()
