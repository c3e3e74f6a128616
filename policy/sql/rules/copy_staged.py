"""COPY FROM into a table where COPY itself can apply no test: by way of a temporary table, in one query string.

PostgreSQL takes no COPY FROM on a table with row-level security, and no statement can test the rows of a COPY against a
role's row filter. So the data go, unstamped, into a temporary table with the very types of the columns, and from there
by an INSERT … SELECT that is compiled as if the client had written it: stamped, tested, with the table's defaults and
triggers. The four statements are one transaction, and the client sees one COPY (proxy/postgres/relay.py). The extended
protocol, where a statement is one, has them sent one by one (proxy/postgres/extended.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.errors import UnsupportedStatement
from policy.sql.context import Context
from policy.sql.guard import Pieces
from policy.sql.plan import ClientText, Piece, quote_identifier
from policy.sql.references import Reference
from policy.sql.resolve import TEMPORARY_SCHEMA, Resolved
from policy.sql.verify import expect_name

STAGE = "tenantgate_copy"
STAGES = 4  # CREATE, COPY, INSERT, DROP
_STAGE_NAME = f"{TEMPORARY_SCHEMA}.{quote_identifier(STAGE)}"


@dataclass(frozen=True, slots=True)
class StagedCopy:
    """table: as the client knows it. create: the first statement. insert: the third, as a client would write it."""

    table: str
    create: Pieces
    insert: str


def must_be_staged(resolved: Resolved) -> bool:
    relation = resolved.relation
    return relation is not None and (relation.row_security or resolved.access.row_filter is not None)


def stage(names: Sequence[str], reference: Reference, resolved: Resolved, context: Context) -> None:
    """Have a COPY fill the temporary table; what stands around it is for `around`, once the COPY is verified."""
    if not names:
        raise UnsupportedStatement("COPY needs at least one column here", position=reference.position)
    columns = ", ".join(map(quote_identifier, names))
    context.replace(reference.start, reference.end, _STAGE_NAME)
    expect_name(reference, (_STAGE_NAME,), context)
    source = resolved.qualified(context)
    create = (f"CREATE TEMP TABLE {_STAGE_NAME} AS SELECT {columns} FROM ", *source, " WITH NO DATA")  # noqa: S608
    schema = "" if reference.schema is None else f"{quote_identifier(reference.schema)}."
    target = f"{schema}{quote_identifier(reference.name)}"
    # COPY gives identity columns the values that it is sent
    insert = f"INSERT INTO {target} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {_STAGE_NAME}"  # noqa: S608
    context.staged = StagedCopy(resolved.name, create, insert)
    context.note(f"{resolved.name}: rows are copied to a temporary table and inserted from there")


def stages_of(copy: Pieces, staged: StagedCopy, insert: Pieces) -> tuple[Pieces, ...]:
    """The four statements, the INSERT compiled."""
    own = tuple(piece.text if isinstance(piece, ClientText) else piece for piece in insert)
    return staged.create, copy, own, (f"DROP TABLE {_STAGE_NAME}",)


def as_one_text(stages: tuple[Pieces, ...]) -> tuple[Piece, ...]:
    """The whole query string."""
    first, *others = stages
    return (*first, *(piece for stage in others for piece in ("; ", *stage)))
