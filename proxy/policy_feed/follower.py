"""Following a store: from the feed to snapshots, one after the other, each made from the one before.

What is not understood is refused as a whole, with a log line, and the last good snapshot stays in force; only
revocations go through, which never give anybody anything. While the store is away the last snapshot stays, too. In both
cases its age grows: the time since it was last known to be the newest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from policy.change_checks import check_changes
from policy.changes import EMPTY, Change, snapshot_with
from policy.entries import Batch, Entry, read_some
from policy.errors import ConfigurationError, TenantGateError
from policy.problems import Problems
from policy.snapshot import Snapshot
from proxy.policy_feed.source import Source, StoreAway
from proxy.policy_feed.standing import Standing

logger = logging.getLogger(__name__)

_AT_ONCE = 100  # entries read between two turns of the event loop: a millisecond or two
_RETRY_S = 0.5
_REPEAT_LOG_S = 60.0


Take = Callable[[Snapshot, Batch], None]  # may raise TenantGateError


class Follower:
    """Lifetime: the process's, from `begin` or `go_on_from` on. targets: each of the configuration's as it is now, and
    its own database."""

    def __init__(self, source: Source, targets: Callable[[], Mapping[str, str]]) -> None:
        self._source = source
        self._targets = targets
        self._take: Take = _nothing
        self._report: Callable[[Standing], None] = _nothing
        self.snapshot = EMPTY
        self.standing = Standing("away", time.monotonic())
        self._refused = 0  # the version that was refused
        self._logged = ("", 0.0)

    async def begin(self) -> Snapshot:
        """The first snapshot. Raises StoreAway or ConfigurationError: there is nothing to serve by."""
        self.snapshot = await snapshot_of(await self._source.read(0), EMPTY, self._targets())
        self._confirm()
        return self.snapshot

    def go_on_from(self, snapshot: Snapshot) -> None:
        """Take a snapshot of another process's in the place of `begin`; its age is not known, so it begins now."""
        self.snapshot = snapshot
        self._confirm()

    async def run(self, take: Take, report: Callable[[Standing], None]) -> None:
        """Follow until cancelled. `take` puts a snapshot in force, `report` hears how things stand."""
        self._take, self._report = take, report
        report(self.standing)
        while True:
            try:
                await self._source.wait()
                await self._follow(await self._source.read(self.snapshot.version))
            except StoreAway as error:
                self._fail("away", error.message)
                await asyncio.sleep(_RETRY_S)
            except Exception:
                logger.exception("following the policy store failed")
                await asyncio.sleep(_RETRY_S)

    async def close(self) -> None:
        await self._source.close()

    async def _follow(self, batch: Batch) -> None:
        if batch.version == self.snapshot.version:
            self._confirm()
            return
        if batch.base == 0 and self.snapshot.version > batch.version:
            logger.warning("the policy store has gone back", extra={"policy_version": batch.version})
        if batch.version == self._refused:
            return
        before = self.snapshot if batch.base else EMPTY
        try:
            snapshot = await snapshot_of(batch, before, self._targets())
            self._take(snapshot, batch)
        except TenantGateError as error:
            self._refused = batch.version
            self._fail("refused", error.message)
            await self._take_revocations(batch)
            return
        self.snapshot = snapshot
        self._refused = 0
        self._confirm()
        logger.info("policy changed", extra={"policy_version": batch.version, "entries": len(batch.entries)})

    async def _take_revocations(self, batch: Batch) -> None:
        """Of a batch that is refused: what is revoked is refused nevertheless. Its version stays the old one, so that
        the batch is read again when it has been put right."""
        added = [entry for entry in batch.entries if entry.kind == "revocation" and entry.body is not None]
        if not batch.base or not added:
            return
        known: list[Entry] = []
        for entry in added:
            try:
                for some in read_some([entry], self._targets(), _AT_ONCE):
                    known += [entry] * len(some)
            except ConfigurationError:
                continue
        old = self.snapshot.version
        snapshot = await snapshot_of(Batch(old, old, known), self.snapshot, self._targets())
        self._take(snapshot, Batch(old, old, known))
        self.snapshot = snapshot

    def _confirm(self) -> None:
        if self.standing.state != "current" and self._logged[0]:
            logger.info("the policy store is followed again", extra={"policy_version": self.snapshot.version})
        self._logged = ("", 0.0)
        self.standing = Standing("current", time.monotonic())
        self._report(self.standing)

    def _fail(self, state: str, problem: str) -> None:
        """Say so in the log, again after a while."""
        now = time.monotonic()
        self.standing = Standing(state, self.standing.confirmed_at, problem)
        self._report(self.standing)
        if self._logged[0] != problem or now - self._logged[1] > _REPEAT_LOG_S:
            self._logged = (problem, now)
            logger.error(
                "%s, version %d stays in force", problem, self.snapshot.version,
                extra={"age_s": round(now - self.standing.confirmed_at, 1)},
            )  # fmt: skip


def _nothing(*_: object) -> None:
    """Before `run`."""


async def snapshot_of(batch: Batch, before: Snapshot, targets: Mapping[str, str]) -> Snapshot:
    """The snapshot after a batch, without holding the event loop for long. Raises ConfigurationError.

    targets: each of the configuration's, and its own database. All that there is (base 0) is checked as a whole, as a
    policy document is. What follows was checked by the store in the transaction that wrote it.
    """
    changes: list[Change] = []
    for some in read_some(batch.entries, targets, _AT_ONCE):
        changes += some
        await asyncio.sleep(0)
    after = snapshot_with(before, batch.version, changes)
    if batch.base == 0:
        problems = Problems()
        check_changes(problems, after, changes, targets)
        problems.raise_if_any()
    return after
