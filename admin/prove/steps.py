"""What is sent and what came back, without how: steps of a case, and their outcomes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """One request. With `parameters` (even an empty tuple) it goes by the extended protocol, else as a query string.

    statement: a name that it is prepared under first; parsed: it was already, so only Bind and Execute are sent.
    alone: sent when all before it are answered, and answered before anything behind it is sent.
    chained: further statements by the extended protocol before the Sync, one transaction with this one.

    parameters: (OID or 0, text value or None). copy_data: sent after it. ordered: the rows' order is settled.
    binary: results are asked for in binary format. opaque: only whether it succeeds is compared.
    """

    sql: str
    parameters: tuple[tuple[int, str | None], ...] | None = None
    copy_data: bytes | None = None
    ordered: bool = False
    binary: bool = False
    opaque: bool = False
    counted: bool = True  # a statement of the case's own, not BEGIN or the look at the state
    max_rows: int = 0
    statement: str = ""
    parsed: bool = False
    alone: bool = False
    chained: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """Steps that are run on one session, in order. `writes`: tables that it may change.

    commit: begin, then the steps, then COMMIT on both sides if they agree; otherwise steps bring their own BEGIN.
    """

    number: int
    steps: tuple[Step, ...]
    kind: str
    writes: tuple[str, ...] = ()
    commit: bool = False


@dataclass(slots=True)
class Result:
    """Of one statement: (name, type OID, type modifier) of its columns, rows, command tag, lines of COPY TO."""

    columns: tuple[tuple[str, int, int], ...] = ()
    rows: list[tuple[bytes | None, ...]] = field(default_factory=list)
    tag: str = ""
    copied: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """Of one step: results of its statements, and the error that ended it (fields by code)."""

    results: list[Result] = field(default_factory=list)
    error: dict[str, str] | None = None
    status: str = ""

    @property
    def sqlstate(self) -> str:
        return "" if self.error is None else self.error.get("C", "XX000")

    @property
    def refused(self) -> bool:
        """Ended by the gateway itself: a server names the place in its source that raised the error."""
        return self.error is not None and "R" not in self.error
