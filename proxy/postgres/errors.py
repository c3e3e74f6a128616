"""The one place where an error becomes PostgreSQL protocol bytes, and where a target's error is made presentable.

Anything that is not a public TenantGateError is told as "internal error" with an id that the log has too.
"""

from __future__ import annotations

import logging
import secrets
from typing import ClassVar

from policy.errors import AccessDenied, InvalidStatement, TenantGateError
from policy.sql.rules.copy_staged import STAGE
from proxy.postgres.reserved_names import SHARED_PREFIX, without_shared_names
from proxy.postgres.wire import messages, replies
from proxy.postgres.wire.framing import HEADER_BYTES

logger = logging.getLogger(__name__)

FOREIGN_TENANT_MARKER = b"tenantgate_foreign_tenant"
_TEMPORARY = b"pg_temp."
_SHARED = SHARED_PREFIX.encode()
ROW_FILTER_MARKER = b"tenantgate_foreign_tenant_or_row_filter"

# Fields of an ErrorResponse that may carry other rows' values, or texts that the gateway wrote.
_SCRUBBED = ("D", "H", "W", "q", "p")


def presentable(error: BaseException) -> TenantGateError:
    """The error itself when the client may see it, else "internal error" with an id."""
    if isinstance(error, TenantGateError) and error.public:
        return error
    identifier = secrets.token_hex(6)
    logger.error("internal error %s", identifier, exc_info=error)
    return TenantGateError(f"internal error {identifier}", hint="Tell your administrator this id.")


class ResultsChanged(InvalidStatement):
    """A prepared statement has come to return others than its client was told. Drivers prepare it again, and know the
    error by the routine that raises it in PostgreSQL."""

    default_sqlstate = "0A000"
    routine: ClassVar[str] = "RevalidateCachedQuery"

    def __init__(self) -> None:
        super().__init__("cached plan must not change result type")


def error_reply(error: BaseException, severity: str = "ERROR", codec: str | None = None) -> bytes:
    """ErrorResponse bytes for any exception. codec: of the client, None for UTF-8."""
    shown = presentable(error)
    routine = shown.routine if isinstance(shown, ResultsChanged) else ""
    reply = replies.error_response(
        severity, shown.sqlstate, shown.message, shown.detail, shown.hint, shown.position, routine
    )
    if codec is None or reply[HEADER_BYTES:].isascii():
        return reply
    return messages.encode(b"E", reply[HEADER_BYTES:].decode().encode(codec, "replace"))


def foreign_tenant(message: bytes = b"") -> AccessDenied:
    """A value for the tenant column that is not the session's tenant, or, as the target's message tells, a row that the
    roles' row filter does not let through."""
    if ROW_FILTER_MARKER in message:
        return AccessDenied(
            "new row violates the row filter",
            hint="Your roles let you write rows only that they show.",
        )
    return AccessDenied(
        "a row may only carry the session's own tenant",
        hint="Leave the tenant column out: the gateway fills it in.",
    )


def scrub(fields: dict[str, bytes], position: int | None) -> dict[str, bytes]:
    """Fields of a target's error without those that could show other rows."""
    kept = {code: value for code, value in fields.items() if code not in _SCRUBBED}
    if _TEMPORARY in kept.get("M", b""):  # the gateway's own addition: `relation "pg_temp.x" does not exist`
        kept["M"] = kept["M"].replace(_TEMPORARY, b"")
    elif kept.get("C") == b"3F000" and _TEMPORARY[:-1] in kept.get(
        "M", b""
    ):  # the same, of a session that has none yet
        kept |= {"C": b"42P01", "M": b"relation does not exist"}
    return kept if position is None else with_position(kept, position)


def presentable_fields(fields: dict[str, bytes], position: int | None, *, verbatim: bool) -> dict[str, bytes]:
    """A target's error or notice as a client may see it. verbatim: the database is the tenant's own.

    position: in the client's text, 0 for none, None: as it is.
    """
    if _SHARED in fields.get("M", b""):
        fields = fields | {"M": without_shared_names(fields["M"])}
    if not verbatim:
        return scrub(fields, position)
    return fields if position is None else with_position(fields, position)


def as_of_copy(fields: dict[str, bytes], table: str) -> dict[str, bytes]:
    """The error of a statement that a COPY into `table` became, as the COPY's own."""
    shown = fields | {
        code: fields[code].replace(STAGE.encode(), table.encode()).replace(b"CREATE TABLE AS", b"COPY FROM")
        for code in ("M", "W")
        if code in fields
    }
    return {code: value for code, value in shown.items() if code not in ("s", "t") or value != STAGE.encode()}


def with_position(fields: dict[str, bytes], position: int) -> dict[str, bytes]:
    """The fields with P set to `position`, or without P when it is 0."""
    kept = {code: value for code, value in fields.items() if code != "P"}
    if position > 0:
        kept["P"] = str(position).encode()
    return kept
