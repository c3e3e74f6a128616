"""The run: cases go to both sides in batches, outcomes are compared, what differs is tried again alone and made small.

A batch is one write on each of the two connections. Cases that are committed run alone; afterwards the rows of other
tenants are compared with what they were, and everything is put back.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from admin.prove.cases import STATEMENT_TIMEOUT, Wish, make_case
from admin.prove.model import Schema
from admin.prove.oracle import SAME, Kind, Verdict, judge
from admin.prove.report import Finding, Report, write_finding
from admin.prove.shrink import shrink
from admin.prove.steps import Case, Outcome, Step
from admin.prove.twin import Twins
from admin.prove.wire import Lane
from proxy.errors import BackendLost

BATCH = 24
MOST_FINDINGS, MOST_SHRUNK = 10, 3
PROGRESS_S = 5.0
_BEGIN, _COMMIT = Step("BEGIN", counted=False), Step("COMMIT", counted=False)
_ROLLBACK = Step("ROLLBACK", counted=False)

Connect = Callable[[], Awaitable[Lane]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends, and where its findings are written (None: nowhere).

    part: (index, number of parts) of a run in several processes: every so many-th case. state: where the report is kept
    while it runs; one that is there is gone on with. run: what makes it the state of this run.
    """

    statements: int = 10_000
    seconds: float | None = None
    directory: Path | None = None
    check_every: int = 2_000
    part: tuple[int, int] = (0, 1)
    state: Path | None = None
    run: Mapping[str, object] = field(default_factory=dict)


class TwinFailed(Exception):
    """The twin gave no answer (in time), so there is nothing to compare with."""


_FAILURES = (TwinFailed, BackendLost, TimeoutError)


class Sides:
    """The session through the gateway and that on the twin; opened again when one is lost."""

    def __init__(self, connect_shared: Connect, connect_twin: Connect) -> None:
        self._connect = (connect_shared, connect_twin)
        self._lanes: list[Lane] = []

    async def open(self) -> None:
        self.close()
        self._lanes = [await connect() for connect in self._connect]
        await self.run([Step(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'", counted=False)])

    async def run(self, steps: Sequence[Step]) -> tuple[list[Outcome], list[Outcome]]:
        """The outcomes on both sides. Raises TwinFailed; BackendLost or TimeoutError when the gateway fails."""
        if not self._lanes or any(lane.closed for lane in self._lanes):
            await self.open()
        shared, twin = await asyncio.gather(*(lane.run(steps) for lane in self._lanes), return_exceptions=True)
        if isinstance(twin, BaseException):
            self.close()
            raise TwinFailed from twin
        if isinstance(shared, BaseException):
            self.close()
            raise shared
        return shared, twin

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()
        self._lanes = []


class Run:
    """One run over a schema. `report` is what it found so far."""

    def __init__(
        self, schema: Schema, twins: Twins, sides: Sides, foreign: frozenset[str], seed: int, wish: Wish, say: Say
    ) -> None:
        self._schema = schema
        self._twins = twins
        self._sides = sides
        self._foreign = foreign
        self._wish = wish
        self._say = say
        self.report = Report(seed)

    async def go(self, limits: Limits) -> Report:
        """Run cases 1, 2, 3, … until a limit is reached. Raises ValueError for the state of another run."""
        if limits.state is not None:
            self.report.load(limits.state, limits.run)
        told = time.monotonic()
        started = told - self.report.seconds
        first, parts = limits.part
        number, checked = max(self.report.number, first + 1 - parts), self.report.statements
        try:
            return await self._go(limits, started, told, number, checked)
        finally:
            self.report.seconds = time.monotonic() - started
            if limits.state is not None:
                self.report.save(limits.state, limits.run)

    async def _go(self, limits: Limits, started: float, told: float, number: int, checked: int) -> Report:
        while self.report.statements < limits.statements and len(self.report.findings) < MOST_FINDINGS:
            batch: list[Case] = []
            while len(batch) < BATCH:
                number += limits.part[1]
                case = make_case(self._schema, self.report.seed, number, self._wish)
                if case.commit:
                    await self._run_batch(batch, limits)
                    batch = []
                    await self._run_committed(case, limits)
                else:
                    batch.append(case)
            await self._run_batch(batch, limits)
            self.report.number = number
            now = time.monotonic()
            self.report.seconds = now - started
            if self.report.statements - checked >= limits.check_every:
                checked = self.report.statements
                await self._check_foreign(batch[-1], limits)
            if now - told >= PROGRESS_S:
                told = now
                if limits.state is not None:
                    self.report.save(limits.state, limits.run)
                self._say(self.report.progress())
            if limits.seconds is not None and now - started >= limits.seconds:
                break
        await self._check_foreign(make_case(self._schema, self.report.seed, number, self._wish), limits)
        return self.report

    async def one(self, number: int, limits: Limits) -> Report:
        """Run one case alone."""
        case = make_case(self._schema, self.report.seed, number, self._wish)
        if case.commit:
            await self._run_committed(case, limits)
        else:
            await self._run_batch([case], limits)
        return self.report

    # -- batches ------------------------------------------------------------------------------------------------

    async def _run_batch(self, cases: Sequence[Case], limits: Limits) -> None:
        if not cases:
            return
        try:
            shared, twin = await self._sides.run([step for case in cases for step in case.steps])
        except _FAILURES as error:
            await self._run_one_by_one(cases, limits, error)
            return
        position = 0
        doubtful: list[Case] = []
        for case in cases:
            stop = position + len(case.steps)
            verdict = self._take(case, shared[position:stop], twin[position:stop])
            position = stop
            if verdict.bad:
                doubtful.append(case)
        if self._wish.writes:
            await self._align(shared, twin)
        for case in doubtful:
            await self._confirm(case, limits)

    async def _align(self, shared: Sequence[Outcome], twin: Sequence[Outcome]) -> None:
        """A write that one side only ran has moved that side's sequences only."""
        if any((a.error is None) != (b.error is None) or a.refused for a, b in zip(shared, twin, strict=True)):
            await self._twins.align_sequences()

    async def _run_one_by_one(self, cases: Sequence[Case], limits: Limits, error: Exception) -> None:
        """Find out which case broke a connection."""
        if len(cases) > 1:
            for case in cases:
                await self._run_batch([case], limits)
            return
        if isinstance(error, TwinFailed):
            self.report.undecided.append(f"case {cases[0].number}: too slow: {cases[0].steps[0].sql}")
            return
        await self._found(cases[0], Verdict(Kind.LOST, 0, f"{type(error).__name__}: {error}"), limits)

    def _take(self, case: Case, shared: Sequence[Outcome], twin: Sequence[Outcome]) -> Verdict:
        verdict = judge(case, shared, twin, self._foreign)
        last = verdict.step if verdict.kind is not Kind.SAME else len(case.steps) - 1
        for step, ours, theirs in zip(case.steps[: last + 1], shared, twin, strict=False):
            self.report.count(step, ours, theirs)
        if verdict.kind is Kind.REFUSED:
            self.report.refuse(verdict.reason, case.steps[verdict.step].sql)
        elif verdict.kind is Kind.UNDECIDED:
            self.report.undecided.append(f"case {case.number}: {verdict.reason}: {case.steps[verdict.step].sql}")
        return verdict

    async def _judge_alone(self, case: Case) -> Verdict:
        """Run a case by itself on fresh ground."""
        await self._sides.run([_ROLLBACK])
        if self._wish.writes:
            await self._twins.align_sequences()
        shared, twin = await self._sides.run(case.steps)
        return judge(case, shared, twin, self._foreign)

    async def _confirm(self, case: Case, limits: Limits) -> None:
        try:
            verdict = await self._judge_alone(case)
        except _FAILURES as error:
            await self._run_one_by_one([case], limits, error)
            return
        if verdict.bad:
            await self._found(case, verdict, limits)
        elif verdict.kind is Kind.SAME:
            self.report.unsteady.append(f"case {case.number}: {'; '.join(step.sql for step in case.steps)}")

    async def _found(self, case: Case, verdict: Verdict, limits: Limits) -> None:
        smallest = case
        if verdict.kind is not Kind.LOST and len(self.report.findings) < MOST_SHRUNK:

            async def differs(candidate: Case) -> bool:
                try:
                    other = await self._judge_alone(candidate)
                except _FAILURES:
                    return False
                return other.kind is verdict.kind and _gist(other) == _gist(verdict)

            smallest = await shrink(case, verdict.step, differs)
        finding = Finding(case, verdict, smallest)
        self.report.findings.append(finding)
        if limits.directory is not None:
            write_finding(finding, self.report.seed, limits.directory)
        self._say(f"difference in case {case.number}: {verdict.reason[:200]}")

    # -- committed writes ---------------------------------------------------------------------------------------

    async def _run_committed(self, case: Case, limits: Limits) -> None:
        """Run a case in a transaction; commit it if both sides agree, look at every row, and put all back."""
        await self._twins.align_sequences()
        verdict = await self._commit_both(case)
        if verdict.bad:
            await self._found(replace(case, steps=(_BEGIN, *case.steps, _ROLLBACK), commit=False), verdict, limits)
        if verdict is not SAME:
            return
        changed = await self._twins.foreign_rows_changed()
        if changed:
            verdict = Verdict(Kind.LEAK, 0, f"rows of other tenants changed in {', '.join(changed)}")
            self.report.findings.append(finding := Finding(case, verdict, case))
            if limits.directory is not None:
                write_finding(finding, self.report.seed, limits.directory)
        elif differ := await self._twins.own_rows_differ():
            verdict = Verdict(Kind.DIFFERENT, 0, f"after COMMIT other rows in {', '.join(differ)}")
            self.report.findings.append(finding := Finding(case, verdict, case))
            if limits.directory is not None:
                write_finding(finding, self.report.seed, limits.directory)
        await self._twins.restore()

    async def _commit_both(self, case: Case) -> Verdict:
        """SAME when it was committed on both sides."""
        try:
            shared, twin = await self._sides.run((_BEGIN, *case.steps))
            verdict = self._take(case, shared[1:], twin[1:])
            agreed = verdict.kind is Kind.SAME and not any(o.error for o in (*shared, *twin))
            await self._sides.run([_COMMIT if agreed else _ROLLBACK])
        except _FAILURES as error:
            kind = Kind.UNDECIDED if isinstance(error, TwinFailed) else Kind.LOST
            return Verdict(kind, 0, f"{type(error).__name__}: {error}")
        if agreed:
            return SAME
        return verdict if verdict.kind is not Kind.SAME else Verdict(Kind.UNDECIDED)

    async def _check_foreign(self, case: Case, limits: Limits) -> None:
        """Whatever ran up to here: other tenants' rows are what they were."""
        changed = await self._twins.foreign_rows_changed()
        if changed:
            verdict = Verdict(Kind.LEAK, 0, f"rows of other tenants changed before this case in {', '.join(changed)}")
            self.report.findings.append(Finding(case, verdict, case))
            await self._twins.restore()


def _gist(verdict: Verdict) -> str:
    """What a smaller case must have in common: what differs, without the rows."""
    return re.split("[:,(]", verdict.reason)[0]
