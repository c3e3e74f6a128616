"""What sessions at one place (target, database, search_path) share beside the pool: statements, and lanes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping

from proxy.pool.pool import Pool
from proxy.postgres.backend import BackendConnection
from proxy.postgres.encodings import is_utf8
from proxy.postgres.lanes.group import Lanes
from proxy.postgres.settings import Settings, lane_key
from proxy.postgres.statements import StatementBook

MAX_GROUPS = 4  # of sessions with other settings; more use no lanes
MAX_GREETINGS = 1000


class Place:
    """Lifetime: as its pool. `greetings`: the target's parameters for sessions that begin with such settings."""

    __slots__ = ("_clock", "_groups", "_settings", "_spawn", "book", "greetings", "pool")

    def __init__(
        self,
        pool: Pool,
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[object, object, None]], None],
    ) -> None:
        self.pool = pool
        self.book = StatementBook()
        self.greetings: dict[frozenset[tuple[str, str]], Mapping[str, str]] = {}
        self._settings: dict[frozenset[tuple[str, str]], Settings] = {}
        self._clock = clock
        self._spawn = spawn
        self._groups: dict[frozenset[tuple[str, str]], Lanes] = {}
        pool.on_pressure = self._yield

    def lanes_for(self, settings: Settings) -> Lanes | None:
        """The lanes of sessions with these settings; None when the target is to have none, or has too many kinds, or
        when their texts are not UTF-8."""
        if not is_utf8(settings.get("client_encoding", "UTF8")):
            return None
        key = lane_key(settings)
        lanes = self._groups.get(key)
        if lanes is None and self.pool.target.lanes and len(self._groups) < MAX_GROUPS:
            lanes = self._groups[key] = Lanes(self.pool, self.book, dict(key), self._clock, self._spawn)
        return lanes

    def lane_backends(self) -> tuple[BackendConnection, ...]:
        return tuple(backend for lanes in self._groups.values() for backend in lanes.backends)

    @property
    def lane_requests(self) -> int:
        """Requests that lanes took since the start."""
        return sum(lanes.requests for lanes in self._groups.values())

    def _yield(self) -> bool:
        """A session waits for a backend and there is no room: whether a lane makes some."""
        return any(lanes.yield_one() for lanes in self._groups.values())

    def one_of(self, settings: Settings) -> Settings:
        """The same object for equal settings: sessions need not have one each, and are seen to be alike."""
        if len(self._settings) >= MAX_GREETINGS:
            self._settings.clear()
        return self._settings.setdefault(frozenset(settings.items()), settings)

    def keep_greeting(self, settings: Settings, parameters: Mapping[str, str]) -> None:
        if len(self.greetings) >= MAX_GREETINGS:
            self.greetings.clear()
        self.greetings[frozenset(settings.items())] = dict(parameters)

    def close_lanes(self) -> None:
        for lanes in self._groups.values():
            lanes.close()


def no_lanes(_settings: Settings) -> None:
    """For a tenant that wants none."""
    return
