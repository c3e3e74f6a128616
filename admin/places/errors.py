"""What can go wrong with a tenant's place on a target."""

from __future__ import annotations

from policy.errors import TenantGateError

_TAKEN = frozenset({"42P04", "42P06", "42710"})  # duplicate database, schema, object


class PlaceFailed(TenantGateError):
    """A statement failed on the target, or it cannot be reached. `statement` is the SQL, or what was tried.

    left_behind: what was made before could not be undone.
    """

    kind = "place"

    def __init__(self, message: str, statement: str = "", *, sqlstate: str = "58000", hint: str | None = None) -> None:
        super().__init__(message, sqlstate=sqlstate, hint=hint)
        self.statement = statement
        self.left_behind = False

    @classmethod
    def from_server(cls, error: Exception, statement: str) -> PlaceFailed:
        """A driver's error. Its own text has no secrets: no statement here carries one."""
        state = getattr(error, "sqlstate", None)
        message = str(error) or type(error).__name__
        kind = PlaceTaken if state in _TAKEN else cls
        return kind(message, statement, sqlstate=state or "08006", hint=getattr(error, "hint", None))


class PlaceTaken(PlaceFailed):
    """There is a schema, database or role of that name already: it was there before, and stays."""

    kind = "place-taken"


class PlaceRefused(PlaceFailed):
    """The place cannot be made or removed as it is asked for; nothing was changed."""

    kind = "place-refused"
