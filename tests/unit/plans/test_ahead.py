"""Long texts: compiled in processes that may be lost, tenants taking turns, nothing hostile on the event loop."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from policy.errors import QuotaExceeded
from policy.sql.compile import refused_query
from policy.sql.plan import CompiledQuery
from proxy.plans import workers as workers_module
from proxy.plans.ahead import MAX_WAITING, CompileAhead
from proxy.plans.cache import PlanScope
from proxy.plans.errors import CompilationFailed, TooComplex
from proxy.plans.room import PlanRoom
from proxy.plans.transport import HEADER, decode, encode
from proxy.plans.workers import Worker, WorkerLost
from tests.unit.plans.test_cache import scope
from tests.unit.sql.sample import ANALYST, CATALOG, SCHEMA, SHARED, compiled

# scan.l reads an operator to its end before it sees that a comment begins: quadratic in the length.
NEVER_ENDING = "SELECT 1 /*" + "/*" * 200_000 + "*/" * 200_000 + "*/"
LONG = "SELECT id FROM orders WHERE id IN (" + ", ".join(map(str, range(2000))) + ")"


def always() -> bool:
    return True


async def result_of(ahead: CompileAhead, text: str, tenant: str = "acme") -> CompiledQuery:
    done: asyncio.Future[CompiledQuery] = asyncio.get_running_loop().create_future()
    ahead.submit(tenant, scope(), text, always, done.set_result)
    return await asyncio.wait_for(done, 60)


@pytest.fixture
def quick_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "TIMEOUT_S", 5.0)


def run(work: Callable[[CompileAhead], object]) -> None:
    async def around() -> None:
        ahead = CompileAhead()
        try:
            await work(ahead)  # type: ignore[misc]
        finally:
            await ahead.close()

    asyncio.run(around())


@pytest.mark.parametrize("access", [SHARED, ANALYST, SCHEMA], ids=lambda access: access.id)
def test_what_is_compiled_elsewhere_is_the_same(access: object) -> None:
    for value in (access, CATALOG):
        frame = encode(value)
        assert HEADER.unpack(frame[: HEADER.size])[0] == len(frame) - HEADER.size
        assert decode(frame[HEADER.size :]) == value
    for text in ("SELECT * FROM orders WHERE id = 1", "COPY orders FROM STDIN", "DROP TABLE orders", "BEGIN"):
        plan = compiled(text)
        again = decode(encode(plan)[HEADER.size :])
        assert [p.pieces for p in again.plans] == [p.pieces for p in plan.plans]
        assert (again.denial is None) == (plan.denial is None)
        if plan.denial is not None and again.denial is not None:
            assert vars(again.denial) == vars(plan.denial)


def test_a_long_text_comes_back_compiled_and_the_process_is_used_again() -> None:
    async def work(ahead: CompileAhead) -> None:
        first = await result_of(ahead, LONG)
        assert first.denial is None
        assert first == scope().compile(LONG)
        began = time.perf_counter()
        assert await result_of(ahead, LONG) == first
        assert time.perf_counter() - began < 5
        assert sum(worker._process is not None for worker in ahead._workers) == 1

    run(work)


@pytest.mark.usefixtures("quick_limits")
def test_a_text_that_never_ends_is_refused_and_the_loop_goes_on() -> None:
    async def work(ahead: CompileAhead) -> None:
        await result_of(ahead, LONG)
        longest = 0.0

        async def tick() -> None:
            nonlocal longest
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0.005)
                longest = max(longest, time.perf_counter() - before - 0.005)

        ticking = asyncio.create_task(tick())
        hostile = await result_of(ahead, NEVER_ENDING)
        ticking.cancel()
        assert isinstance(hostile.denial, TooComplex)
        assert hostile.denial.sqlstate == "54001"
        assert longest < 0.5
        assert (await result_of(ahead, LONG)).denial is None  # by a new process

    run(work)


@pytest.mark.usefixtures("quick_limits")
def test_a_tenant_with_hostile_texts_waits_for_itself() -> None:
    async def work(ahead: CompileAhead) -> None:
        hostile = [asyncio.create_task(result_of(ahead, NEVER_ENDING, "mallory")) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert (await result_of(ahead, LONG, "acme")).denial is None
        assert not any(task.done() for task in hostile[1:])
        for task in hostile:
            task.cancel()

    run(work)


def test_what_could_not_be_compiled_is_not_kept() -> None:
    subject = scope()
    for error in (TooComplex("x"), CompilationFailed("x")):
        subject.keep("SELECT 1", refused_query("SELECT 1", error))
        assert not subject.has("SELECT 1")


def test_a_queue_is_bounded_and_the_unwanted_is_not_compiled() -> None:
    async def work(ahead: CompileAhead) -> None:
        wanted = True
        got: list[CompiledQuery] = []
        for _ in range(MAX_WAITING + 1):  # one is under way
            ahead.submit("acme", scope(), LONG, lambda: wanted, got.append)
        with pytest.raises(QuotaExceeded):
            ahead.submit("acme", scope(), LONG, always, got.append)
        wanted = False
        while ahead._running:
            await asyncio.sleep(0.01)
        assert len(got) == 1
        assert not ahead._jobs

    run(work)


def test_a_bug_refuses_the_statement(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def buggy(_self: Worker, _scope: PlanScope, _text: str) -> None:
        return None

    monkeypatch.setattr(Worker, "compile", buggy)

    async def work(ahead: CompileAhead) -> None:
        assert isinstance((await result_of(ahead, LONG)).denial, CompilationFailed)

    run(work)
    assert not caplog.records


def test_a_process_that_dies_is_replaced_and_what_it_knew_is_sent_again() -> None:
    async def around() -> None:
        worker = Worker()
        subject = scope()
        try:
            assert await worker.compile(subject, LONG) is not None
            assert worker._process is not None
            worker._process.kill()
            await worker._process.wait()
            assert await worker.compile(subject, LONG) is not None
        finally:
            await worker.close()

    asyncio.run(around())


def test_a_process_forgets_what_is_not_used() -> None:
    async def around() -> None:
        worker = Worker()
        try:
            for _ in range(workers_module._MAX_KNOWN + 3):
                subject = PlanScope(decode(encode(SHARED)[HEADER.size :]), CATALOG, "", PlanRoom(1 << 20))
                assert await worker.compile(subject, "SELECT * FROM orders") is not None
            assert len(worker._known) == workers_module._MAX_KNOWN
        finally:
            await worker.close()

    asyncio.run(around())


def test_limits_of_time_and_memory_end_the_process(tmp_path: Path) -> None:
    """The limits themselves, with a worker that is told lower ones."""

    async def exhaust(lines: str) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", f"from proxy.plans import worker\n{lines}",
            env=workers_module.environment(), cwd=tmp_path, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return await process.wait()

    time_out = "worker._limit(); worker._allow_cpu(1)\nwhile True: pass"
    memory = "worker._limit()\ntry: bytearray(worker.MEMORY_BYTES)\nexcept MemoryError: raise SystemExit(3)"
    file = "import os\nworker._limit()\nos.write(os.open('file', os.O_CREAT | os.O_WRONLY), b'x')"

    async def around() -> None:
        assert await exhaust(time_out) < 0  # SIGXCPU
        assert await exhaust(memory) == 3
        assert await exhaust(file) != 0

    asyncio.run(around())


def test_an_ended_worker_is_an_error_of_its_own() -> None:
    async def around() -> None:
        worker = Worker()
        subject = scope()
        await worker.compile(subject, LONG)
        task = asyncio.create_task(worker.compile(subject, NEVER_ENDING))
        await asyncio.sleep(0.2)
        worker._kill()
        with pytest.raises(WorkerLost):
            await task
        await worker.close()

    asyncio.run(around())


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that processes compile from now on."""
    texts: list[str] = []
    compile_really = Worker.compile

    async def counted(self: Worker, subject: PlanScope, text: str) -> CompiledQuery | None:
        texts.append(text)
        return await compile_really(self, subject, text)

    monkeypatch.setattr(Worker, "compile", counted)
    return texts


def of_shape(number: int) -> str:
    return f"SELECT id FROM orders WHERE id = {number} AND t IN (" + ", ".join(["'x'"] * 400) + ")"


@pytest.mark.parametrize("tenants", [("acme",), ("acme", "globex", "initech", "umbrella")])
def test_sessions_with_one_cold_shape_have_it_compiled_once(
    tenants: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = counting(monkeypatch)

    async def work(ahead: CompileAhead) -> None:
        subject = scope()
        done: list[CompiledQuery] = []

        def one(number: int) -> None:
            def take(result: CompiledQuery) -> None:
                subject.keep(of_shape(number), result)
                done.append(result)

            ahead.submit(tenants[number % len(tenants)], subject, of_shape(number), always, take)

        for number in range(40):
            one(number)
        async with asyncio.timeout(60):
            while len(done) < 40:
                await asyncio.sleep(0.01)
        assert len(texts) <= min(len(tenants), len(ahead._workers))  # one for each process that was idle
        assert (subject.misses, len(subject)) == (1, 1)
        assert not ahead._by_key

    run(work)


def test_a_plan_that_hangs_on_a_literal_is_made_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = counting(monkeypatch)
    pinned = [f"SELECT pg_read_file('x{n}')" + " " * 1100 for n in (1, 1, 1, 2)]  # refusals go by their text

    async def work(ahead: CompileAhead) -> None:
        subject = scope()
        done: list[tuple[str, CompiledQuery]] = []
        for text in pinned:
            ahead.submit("acme", subject, text, always, lambda result, text=text: done.append((text, result)))  # type: ignore[misc]
        async with asyncio.timeout(60):
            while len(done) < len(pinned):
                await asyncio.sleep(0.01)
        assert all(result.denial is not None and result.plans[0].original in text for text, result in done)
        assert sorted(texts) == sorted(set(pinned))

    run(work)
