"""Why a statement could not be compiled. Apart from `cache`, which is compiled: its classes have no `__dict__`."""

from __future__ import annotations

from policy.errors import StatementRefused


class CompilationFailed(StatementRefused):
    """Compiling ended in an unexpected error: the statement is refused, the client gets an id, the log the cause."""

    kind = "bug"
    default_sqlstate = "XX000"
    public = False


class TooComplex(StatementRefused):
    """Compiling went beyond its limits of time or memory (54001)."""

    kind = "unsupported"
    default_sqlstate = "54001"
