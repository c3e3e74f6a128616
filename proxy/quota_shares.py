"""Limits that several machines share, per period and of connections, by leases: the keeper of one machine gets a part
of each limit from Redis ahead of time, writes it into the table where the workers look, and tells what was used of it.
No statement waits.

In Redis a hash for each tenant, quota and period has, for each machine, what it has used in all and what it holds and
has not used. Told again, the same is the same: an answer that was lost, or a Redis that has lost its data, changes no
sum. A machine says every tenth of a second that it lives; what one holds that has not said so for `lease_s` is the
others' again. It stops to rely on its own part before that, also when it was only halted.

Lifetime: that of the process which owns the table (the supervisor, or a gateway without workers).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from policy.model import PeriodLimit, QuotaLimits
from policy.quota_periods import period_bounds
from policy.snapshot import Snapshot
from proxy.config import RedisConfig
from proxy.quota_ledger import EXHAUSTED, GRANTING, UNITS, first_part
from proxy.workers.table import GRANTED, KINDS, LACKING, OTHERS, START, STATE, USED, QuotaTable, Row, digest_of

logger = logging.getLogger(__name__)

TICK_S: Final = 0.1
_RELIES: Final = 0.7  # of lease_s: for so long a machine relies on what it holds without a word
_TIMEOUT_S: Final = 1.0
_LEAST_PART: Final = 20  # of the limit is what a quiet machine holds
_MOST_PART: Final = 4  # of what is left is what any machine holds at most
_REFRESH_TICKS: Final = 20  # so often what others used is asked for

# KEYS: the hash. ARGV: prefix, machine, used by it in all, wanted, limit, when the hash may go (seconds, UNIX time).
# Gives what all have used, what the machine holds from now on, and what it was known to have used before.
_LEASE: Final = """
local known = redis.call('HGET', KEYS[1], 'used:' .. ARGV[2]) or '0'
redis.call('HSET', KEYS[1], 'used:' .. ARGV[2], ARGV[3])
local fields = redis.call('HGETALL', KEYS[1])
local used, held = 0, 0
for at = 1, #fields, 2 do
  local machine = string.sub(fields[at], 6)
  if string.sub(fields[at], 1, 5) == 'used:' then
    used = used + tonumber(fields[at + 1])
  elseif machine ~= ARGV[2] then
    if redis.call('EXISTS', ARGV[1] .. ':machine:' .. machine) == 1 then
      held = held + tonumber(fields[at + 1])
    else
      redis.call('HDEL', KEYS[1], fields[at])
    end
  end
end
local lease = math.max(0, math.min(tonumber(ARGV[4]), tonumber(ARGV[5]) - used - held))
redis.call('HSET', KEYS[1], 'held:' .. ARGV[2], string.format('%.0f', lease))
redis.call('EXPIREAT', KEYS[1], ARGV[6])
return {string.format('%.0f', used), string.format('%.0f', lease), known}
"""


@dataclass(slots=True)
class Account:
    """One limit of one tenant, as this machine stands with it in the period that began at `start`. before: of what is
    used here, what a process before this one told. reported: what the others know of it, that included."""

    row: Row
    kind: int
    key: str
    limit: int
    start: int = 0
    end: int = 0
    before: int = 0
    reported: int = 0
    recent: int = 0  # used lately in a tick, decaying
    quiet_ticks: int = 0  # since something was used here


@dataclass(slots=True)
class Room:
    """One limit of connections of one tenant: this machine holds `lease` of it. seen: how many there were last."""

    row: Row
    key: str
    lease: int = 0
    limit: int = 0
    seen: int = 0
    quiet_ticks: int = 0  # since one came
    age_ticks: int = 0  # since it was asked for

    def wanted(self, limit: int) -> int | None:
        """How much to hold from now on; None: as it is. What is given back is taken from the workers first."""
        row = self.row
        with row:
            used, lacking = row.total_connections(), row.lacks_connections()
            came = used > self.seen or lacking
            self.quiet_ticks = 0 if came else self.quiet_ticks + 1
            self.age_ticks += 1
            spare = max(1, limit // _LEAST_PART) if self.quiet_ticks < _REFRESH_TICKS else 0
            want = min(limit, used + spare)
            stale = self.age_ticks >= _REFRESH_TICKS or limit != self.limit
            self.seen, self.limit = used, limit
            if want == self.lease and not lacking and not stale:
                return None
            row.put_connections_share(min(want, self.lease))
        self.age_ticks = 0
        return want

    def take(self, lease: int) -> None:
        with self.row:
            self.lease = lease
            self.row.put_connections_share(lease)


class ShareKeeper:
    """`is_up`: Redis answers. Changes are told by the log; `problem` is "" while all is well."""

    def __init__(self, config: RedisConfig, table: QuotaTable, snapshot: Callable[[], Snapshot | None]) -> None:
        from redis.asyncio import Redis

        self._config = config
        self._table = table
        self._snapshot = snapshot
        self._indexed: Snapshot | None = None
        self._limits: dict[bytes, QuotaLimits] = {}
        self._accounts: dict[tuple[bytes, int], Account] = {}
        self._rooms: dict[bytes, Room] = {}
        self._machine = secrets.token_hex(8)
        self._client: Any = Redis.from_url(
            config.url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, health_check_interval=0
        )
        self._script: Any = self._client.register_script(_LEASE)
        self.is_up = True
        self._before = {digest: _used_of(row) for digest, row in table.rows()}  # of a process before, which told it

    @property
    def problem(self) -> str:
        if self.is_up:
            return ""
        return f"the fleet's keeper of quotas (Redis) is away: {self._config.when_away}"

    async def keep(self) -> None:
        """Again and again, until it is cancelled."""
        while True:
            try:
                await self.tick()
            except Exception as error:
                if not _is_of_network(error):
                    logger.exception("quotas: the keeper of shares failed")
                self._table.shares_until = self._table.shares_until or 1  # it was asked, and does not answer
                self._set_up(False, error)
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """Say that this machine lives, tell what it used, and have enough of what is used here. Raises when Redis does
        not answer."""
        began = time.monotonic()
        alive_ms = round(self._config.lease_s * 1000)
        was_alive = await self._client.set(f"{self._config.prefix}:machine:{self._machine}", 1, px=alive_ms, get=True)
        if was_alive is None:
            self._hold_nothing()
        self._table.shares_until = round((began + self._config.lease_s * _RELIES) * 1e6)
        wall = time.time()
        asked = [(account, want) for account in self._find(wall) if (want := self._wanted(account)) is not None]
        if asked:
            await self._ask(asked)
        rooms = [(room, limit, want) for room, limit in self._find_rooms() if (want := room.wanted(limit)) is not None]
        if rooms:
            await self._ask_rooms(rooms, wall)
        self._set_up(True, None)

    def _hold_nothing(self) -> None:
        """This machine had not said for so long that it lives that others may have what it held."""
        for account in self._accounts.values():
            with account.row as row:
                if row.period(account.kind, START) == account.start:
                    row.put_period(account.kind, GRANTED, row.period(account.kind, USED))
        for _, row in self._table.rows():
            with row:
                row.put_connections_share(0, lacking=row.lacks_connections())
        for room in self._rooms.values():
            room.lease = 0

    async def close(self) -> None:
        """Tell what was used and give back the rest."""
        try:
            accounts = [(account, 0) for account in self._find(time.time())]
            self._table.shares_until = 0
            if accounts:
                await self._ask(accounts)
            await self._client.delete(f"{self._config.prefix}:machine:{self._machine}")
        except Exception as error:
            logger.warning("quotas: what was used last is not told: %s", error)
        finally:
            await self._client.aclose()

    # Accounts

    def _find(self, wall: float) -> Iterator[Account]:
        """Of every limit that somebody has used here, in the period of now."""
        self._index()
        for digest, row in self._table.rows():
            limits = self._limits.get(digest)
            for kind, limit in enumerate(periods_of(limits)) if limits is not None else ():
                if limit is not None:
                    yield self._account(digest, row, kind, limit, wall)

    def _find_rooms(self) -> Iterator[tuple[Room, int]]:
        """Of every tenant that has logged in here, and of the groups that it is in, with the limit."""
        for digest, row in self._table.rows():
            limits = self._limits.get(digest)
            if limits is None or limits.connections is None or limits.is_soft("connections"):
                continue
            if digest not in self._rooms:
                self._rooms[digest] = Room(row, f"{self._config.prefix}:connections:{digest.hex()}")
            yield self._rooms[digest], limits.connections

    async def _ask_rooms(self, asked: list[tuple[Room, int, int]], wall: float) -> None:
        pipe = self._client.pipeline(transaction=False)
        until = round(wall + self._config.lease_s) + 60
        for room, limit, want in asked:
            args = [self._config.prefix, self._machine, 0, want, limit, until]
            await self._script(keys=[room.key], args=args, client=pipe)
        for (room, *_), answer in zip(asked, await pipe.execute(), strict=True):
            room.take(int(answer[1]))

    def _index(self) -> None:
        snapshot = self._snapshot()
        if snapshot is None or snapshot is self._indexed:
            return
        self._indexed = snapshot
        self._limits = {}
        for tenant in snapshot.tenants.values():
            if tenant.quotas.connections or any(limit is not None for limit in periods_of(tenant.quotas)):
                self._limits[digest_of(tenant.id)] = tenant.quotas
                self._limits[digest_of(f"{tenant.id}/")] = tenant.quotas  # the group's (proxy/quota_tree.py)

    def _account(self, digest: bytes, row: Row, kind: int, limit: PeriodLimit, wall: float) -> Account:
        account = self._accounts.get((digest, kind))
        if account is None:
            account = self._accounts[digest, kind] = Account(row, kind, "", 0)
        account.limit = round(limit.limit * UNITS[kind])
        if not account.start <= wall < account.end or account.end != period_bounds(limit.per, wall)[1]:
            account.start, account.end = period_bounds(limit.per, wall)
            account.key = f"{self._config.prefix}:used:{digest.hex()}:{kind}:{limit.per}:{account.start}"
            start, used = self._before.get(digest, _NOTHING)[kind]
            account.before = account.reported = used if start == account.start else 0
            account.recent = 0
        with row:
            if row.period(kind, START) != account.start:
                row.begin_period(kind, account.start, account.end, first_part(row, kind, account.limit))
        return account

    def _wanted(self, account: Account) -> int | None:
        """How much to hold from now on; None: as it is. What is given back is taken from the workers first."""
        row, kind = account.row, account.kind
        with row:
            used, granted = row.period(kind, USED), row.period(kind, GRANTED)
            fresh = used - account.reported
            account.recent = max(fresh, account.recent * 7 // 8)
            lacking = row.period(kind, LACKING)
            if lacking:
                row.put_period(kind, LACKING, 0)
            account.quiet_ticks = 0 if fresh or lacking else account.quiet_ticks + 1
            least = 1 if account.quiet_ticks < _REFRESH_TICKS else 0  # a quiet machine keeps nothing from others
            want = max(account.limit // _LEAST_PART, 8 * account.recent)
            want = max(least, min(want, (account.limit - used - row.period(kind, OTHERS)) // _MOST_PART))
            left = granted - used
            stale = account.quiet_ticks % _REFRESH_TICKS == _REFRESH_TICKS - 1
            if not fresh and not stale and (want + 1) // 2 <= left <= 2 * want and row.period(kind, STATE):
                return None
            if left > want:
                row.put_period(kind, GRANTED, used + want)
        return want

    async def _ask(self, asked: list[tuple[Account, int]]) -> None:
        pipe = self._client.pipeline(transaction=False)
        told = []
        for account, want in asked:
            used = account.row.period(account.kind, USED)
            told.append(used)
            args = [
                self._config.prefix, self._machine, used - account.before, want, account.limit,
                account.end + round(self._config.lease_s) + 60,
            ]  # fmt: skip
            await self._script(keys=[account.key], args=args, client=pipe)
        answers = await pipe.execute()
        for (account, _), used, answer in zip(asked, told, answers, strict=True):
            self._take(account, used, *map(int, answer))

    def _take(self, account: Account, reported: int, total: int, lease: int, known: int) -> None:
        """What Redis says: so much was used by all, so much more may be used here, so much it knew of that."""
        has_lost = known < account.reported - account.before
        account.reported = reported
        row, kind = account.row, account.kind
        with row:
            if row.period(kind, START) != account.start:
                return
            if has_lost:  # what it knew: that of the process before is told again, too
                account.before = account.reported = 0
            row.put_period(kind, OTHERS, max(0, total - reported))
            row.put_period(kind, STATE, EXHAUSTED if total >= account.limit else GRANTING)
            row.put_period(kind, GRANTED, reported + lease)

    def _set_up(self, is_up: bool, error: BaseException | None) -> None:
        if is_up != self.is_up:
            self.is_up = is_up
            if is_up:
                logger.info("quotas: the fleet's keeper (Redis) is back")
            else:
                logger.error("%s", f"quotas: {self.problem}", extra={"reason": str(error)})


_NOTHING: Final = ((0, 0),) * KINDS


def _used_of(row: Row) -> tuple[tuple[int, int], ...]:
    return tuple((row.period(kind, START), row.period(kind, USED)) for kind in range(KINDS))


def periods_of(limits: QuotaLimits) -> tuple[PeriodLimit | None, ...]:
    """By kind, as the table numbers them."""
    return limits.rows, limits.bytes, limits.backend_seconds


def _is_of_network(error: Exception) -> bool:
    from redis.exceptions import RedisError

    return isinstance(error, RedisError | OSError | TimeoutError)
