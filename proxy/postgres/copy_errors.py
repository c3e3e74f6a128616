"""What is wrong with COPY data, as errors; the texts are PostgreSQL's where it has one."""

from __future__ import annotations

from policy.errors import AccessDenied, InvalidStatement

MAX_ROW_BYTES = 64 * 1024 * 1024


def malformed(message: str, *, row: int = 0, hint: str | None = None) -> InvalidStatement:
    """BAD_COPY_FILE_FORMAT. `row` is 1-based, 0 when unknown."""
    detail = f"COPY data, row {row}." if row else None
    return InvalidStatement(message, sqlstate="22P04", detail=detail, hint=hint)


def too_large() -> InvalidStatement:
    return InvalidStatement(
        "a row of COPY data is too large",
        sqlstate="54000",
        detail=f"A row may have {MAX_ROW_BYTES} bytes.",
    )


def foreign_row(row: int) -> AccessDenied:
    """A row whose tenant column is not this session's tenant. Does not repeat the value."""
    return AccessDenied(
        "COPY data has a row that does not belong to your tenant",
        detail=f"COPY data, row {row}.",
        hint="Leave the tenant column out of the column list: it is filled in for you.",
    )
