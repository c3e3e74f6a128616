"""A session's settings, carried from backend to backend.

A backend that serves a session first gets what differs, in the same write as the session's request. What a client's
statements change is known from their plans (policy/sql/plan.SettingChange) and counts when its transaction has
committed. Where that cannot be told (a rollback to a savepoint) the session is tied to its backend, which knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policy.sql.plan import SettingChange
from proxy.postgres.search_path import PATH

Settings = dict[str, str]
_NAMELESS: Final = frozenset({"application_name"})  # says nothing about results


def quote_setting(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def setting_statements(have: Mapping[str, str], want: Mapping[str, str]) -> list[str]:
    """What brings a backend with settings `have` to `want`; values are SQL.

    SET DateStyle keeps the half of the old value that the new one does not name, which would be another session's.
    """
    statements = [
        f"RESET {name}" for name, value in have.items()
        if name not in want or (name.lower() == "datestyle" and want[name] != value)
    ]  # fmt: skip
    statements += [f"SET {name} TO {value}" for name, value in want.items() if have.get(name) != value]
    return statements


def lane_key(settings: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """What two sessions must have in common to share lanes."""
    return frozenset((name, value) for name, value in settings.items() if name not in _NAMELESS)


class SessionSettings:
    """`current` is replaced, never changed: whoever has the same object has the same settings.

    doubtful: nobody but the backend knows what is set.
    """

    __slots__ = ("_changes", "_rollbacks", "_start", "current", "doubtful")

    def __init__(self, start: Settings) -> None:
        self._start = start
        self._changes: list[SettingChange] = []
        self._rollbacks = 0
        self.current: Settings = start
        self.doubtful = False

    @property
    def has_own_path(self) -> bool:
        """The session began with a search_path of its own."""
        return PATH in self._start

    @property
    def pending(self) -> bool:
        """There are changes that hang on a transaction's end."""
        return bool(self._changes)

    def value(self, name: str) -> str:
        """What a setting is now, as far as its own statements tell; "" when it is not set."""
        sql = self.current.get(name, "")
        for change in self._changes:
            if change.name in (name, ""):
                sql = change.value or ""
        if sql[:1] == "'" and sql[-1:] == "'" and len(sql) > 1:
            return sql[1:-1].replace("''", "'")
        return sql

    def changed(self, changes: tuple[SettingChange, ...]) -> None:
        """A statement with these changes was done; its transaction goes on."""
        self._changes.extend(change for change in changes if not change.local)

    def rolled_back(self) -> None:
        """ROLLBACK, to a savepoint perhaps."""
        if self._changes:
            self._rollbacks += 1

    def transaction_goes_on(self) -> None:
        """The target is ready, within a transaction."""
        if self._rollbacks:
            self.doubtful = True

    def transaction_ended(self, backend: Settings, date_style: str, *, failed: bool, committed_last: bool) -> Settings:
        """The target is ready, and idle. Returns what is now set on the backend; `current` is what the session wants.

        date_style: as the target reports it now. SET DateStyle may name one half of it, and keeps the other.
        failed: the request ended in an error. committed_last: the last of the transaction's commands was no ROLLBACK.
        """
        changes, self._changes = self._changes, []
        rollbacks, self._rollbacks = self._rollbacks, 0
        if rollbacks > 1 or (rollbacks and committed_last) or (failed and not rollbacks):
            self.doubtful = True
        if failed or rollbacks:
            return backend
        there = dict(backend)
        for change in changes:
            if change.name == "datestyle" and change.value is not None:
                change = SettingChange(change.name, quote_setting(date_style))
            there = self._apply(change, there)
        return self.current if self.current == there else there

    def _apply(self, change: SettingChange, there: Settings) -> Settings:
        wanted = dict(self.current)
        if not change.name:
            wanted, there = dict(self._start), {}
        elif change.value is not None:
            wanted[change.name] = there[change.name] = change.value
        else:
            there.pop(change.name, None)
            wanted.pop(change.name, None)
            if change.name in self._start:
                wanted[change.name] = self._start[change.name]
        self.current = wanted
        return there
