"""Which subjects have sessions of tenants whose number of users is limited: of all workers, kept by the supervisor, or
by the one process where there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

Entry = tuple[int, str, str, int]  # seat, tenant, subject, sessions


class Subjects:
    """A subject that has several sessions is one user."""

    __slots__ = ("_sessions",)

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._sessions: dict[str, dict[str, Counter[int]]] = {}  # by tenant and subject, of each seat
        for seat, tenant, subject, count in entries:
            self._of(tenant).setdefault(subject, Counter())[seat] = count

    def enter(self, seat: int, tenant: str, subject: str, limit: int | None) -> int:
        """Count a session; how many users there are with it, or 0 when there are `limit` without, and it is not
        counted."""
        known = self._of(tenant)
        if subject not in known and limit is not None and len(known) >= limit:
            return 0
        known.setdefault(subject, Counter())[seat] += 1
        return len(known)

    def leave(self, seat: int, tenant: str, subject: str) -> int:
        """A session of this seat has ended; how many users are left."""
        known = self._of(tenant)
        sessions = known.get(subject)
        if sessions is not None:
            sessions[seat] -= 1
            if sessions[seat] <= 0:
                del sessions[seat]
            if not sessions:
                del known[subject]
        return len(known)

    def clear_seat(self, seat: int) -> None:
        """The process of this seat has ended."""
        for tenant in tuple(self._sessions):
            known = self._sessions[tenant]
            for subject in tuple(known):
                known[subject].pop(seat, None)
                if not known[subject]:
                    del known[subject]
            if not known:
                del self._sessions[tenant]

    def entries(self) -> list[Entry]:
        """All of it, for who takes over."""
        return [
            (seat, tenant, subject, count)
            for tenant, known in self._sessions.items()
            for subject, sessions in known.items()
            for seat, count in sessions.items()
        ]

    def _of(self, tenant: str) -> dict[str, Counter[int]]:
        return self._sessions.setdefault(tenant, {})
