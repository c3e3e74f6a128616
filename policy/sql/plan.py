"""What a statement becomes: pieces of text with slots, and what the data plane must know to run it.

A plan never holds a tenant's value or a principal's: those are slots, filled when the plan is rendered, so one
plan serves every tenant with the same permission set. Client literals are slots too when the plan is kept under a
shape (policy/sql/shape.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from policy.errors import StatementRefused
from policy.sql.namespaces import target_channel


class StatementKind(Enum):
    """What the engine has to do with a statement, beyond relaying it."""

    READ = "read"
    WRITE = "write"
    COPY_IN = "copy_in"
    COPY_OUT = "copy_out"
    TRANSACTION = "transaction"
    SESSION = "session"  # SET, RESET, SHOW, DISCARD, PREPARE …
    DDL = "ddl"
    UTILITY = "utility"
    EMPTY = "empty"


class SlotKind(Enum):
    TENANT = "tenant"  # the tenant's value as a text literal
    SCHEMA = "schema"  # the tenant's schema as a quoted identifier
    SCHEMA_NAME = "schema_name"  # the tenant's schema as a text literal
    SUBJECT = "subject"  # the principal's subject as a text literal
    ATTRIBUTE = "attribute"  # principal attribute `name` as a text literal, NULL when absent
    NAMESPACE = "namespace"  # what the tenant's notification channels begin with, as a text literal
    CHANNEL = "channel"  # the tenant's notification channel `name` as a quoted identifier
    AUTHOR = "author"  # a comment that says who changes are by (policy/change_tracking.py)
    LOCK_KEY = "lock_key"  # what keeps the tenant's advisory locks apart, as a text literal
    QUOTAS = "quotas"  # the tenant's quotas and what is used of them now, as a query
    LITERAL = "literal"  # client literal number `index` of the shape, as the client wrote it


@dataclass(frozen=True, slots=True)
class Slot:
    kind: SlotKind
    name: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True)
class ClientText:
    """A run of the client's own characters; `offset` is where it stood in the client's text (0-based)."""

    text: str
    offset: int


Piece = str | ClientText | Slot
"""str: text that the gateway adds."""


@dataclass(frozen=True, slots=True)
class CopyStamp:
    """COPY … FROM STDIN into a tenant table: how the data stream is stamped or checked.

    tenant_index: position of the tenant column among the columns that the client sends, or None when the
    gateway appends it as the last one. format: text | csv | binary; other fields as in COPY's options.
    """

    format: str
    column_count: int
    tenant_index: int | None
    tenant_type: str
    delimiter: str = "\t"
    null: str = "\\N"
    quote: str = '"'
    escape: str = '"'
    header: bool = False


@dataclass(frozen=True, slots=True)
class SettingChange:
    """What a statement does to a setting of its session, for who has to carry the session to another backend.

    name: in lower case; "" stands for all of them (RESET ALL, DISCARD ALL). value: SQL for `SET name TO value`; None:
    back to what the session started with, the options of its startup packet included: the target does not know those
    for defaults, so after a reset they have to be set again. local: until the transaction ends (SET LOCAL).
    A change that is not local holds when its transaction commits; ROLLBACK, also to a savepoint, takes it back.
    A value that the text does not tell (a parameter of set_config) gives no change: the plan `pins` instead.
    """

    name: str
    value: str | None
    local: bool = False


AFTER_PATH: Final = ", pg_temp"
"""Behind a session's search_path: code of the database's owner does not take a temporary table, which PostgreSQL would
look for first, nor its row type, for what it means. Sessions name theirs by pg_temp (rules/temporary.py)."""

USER_CODE: Final = "user-defined code"  # why a session keeps its backend (Plan.pins)
NUMBERS: Final = 1
ANYTHING: Final = 3
"""What a statement may leave on its backend that its text does not tell: numbers taken from sequences; whatever code of
the database's owner makes (a trigger, a function that the policy lists): temporary tables, settings, numbers, too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement. Either `denial` is set and nothing may be sent, or `pieces` renders what is sent.

    relations: schema-qualified names reached, for audit; columns: `schema.table.column` that it can reach.
    rules: what was applied, in words, for `explain`.
    write: may change data or settings beyond the session.
    """

    kind: StatementKind
    command: str  # the command's tag word: SELECT, INSERT, BEGIN, SET …
    pieces: tuple[Piece, ...]
    original: str  # the client's text of this statement (of the text the plan was compiled from)
    offset: int = 0  # where the statement starts in the client's query string
    fingerprint: str = ""
    relations: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    write: bool = False
    denial: StatementRefused | None = None
    copy_stamp: CopyStamp | None = None
    staged: str = ""  # COPY FROM into this table by way of another, in four statements (rules/copy_staged.py)
    stages: tuple[tuple[Piece, ...], ...] = ()  # these, of which `pieces` is made then
    session_action: tuple[
        str, ...
    ] = ()  # ("prepare", name) ("deallocate", name) ("deallocate_all",) ("discard_all",) ("listen", name) ("recall",) …
    refused_parameter_types: frozenset[int] = frozenset()  # OIDs: a parameter declared so could bring unreviewed code
    has_runtime_check: bool = False  # text holds the guard expression that raises on a foreign tenant value
    settings: tuple[SettingChange, ...] = ()  # in the order in which they take effect
    leaves: int = 0  # NUMBERS, ANYTHING
    shareable: bool = False  # reads only, and touches no session: may run on a lane (lanes.py)
    preparable: bool = False  # may run as a prepared statement that sessions share, each on its own backend (lanes.py)
    pins: str = ""  # why its session keeps its backend from here on, such as "temporary table"; "": it need not
    approvals: tuple[tuple[str, str], ...] = ()  # policies that want an approval reference, and what it must match
    row_limit: int = 0  # the result has no more rows than this (its text sees to that); 0: no limit
    byte_limit: int = 0  # a longer result ends in an error; 0: no limit
    limited_by: str = ""  # the policies of the limits
    grows: bool = False  # may take more storage
    tables_made: int = 0  # that stay
    marked: bool = False  # it may change a tracked table: the text says who by


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A query string: its statements in order. by_shape: may be kept under the shape, else under the exact text."""

    plans: tuple[Plan, ...]
    by_shape: bool

    @property
    def denial(self) -> StatementRefused | None:
        """The first refused statement's error: one refused statement refuses the whole query string."""
        return next((plan.denial for plan in self.plans if plan.denial is not None), None)


@dataclass(frozen=True, slots=True)
class SlotValues:
    """A session's values for slots, already quoted as SQL."""

    tenant: str
    schema: str
    subject: str
    attributes: Mapping[str, str]  # quoted literals by name
    namespace: str = ""  # bare, see namespaces.py
    lock_key: str = ""  # bare
    author: str = ""  # a whole comment; "": nobody's, and the target refuses changes of tracked tables
    quotas: Callable[[], str] | None = field(default=None, compare=False, repr=False)


def quote_literal(value: str) -> str:
    """Quote for standard_conforming_strings = on. Raises ValueError on NUL."""
    if "\0" in value:
        raise ValueError("NUL in a literal")
    if "\\" in value:  # right whatever standard_conforming_strings says
        return " E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + value.replace("'", "''") + "'"


def quote_identifier(name: str) -> str:
    """Always quoted, so that no keyword and no folding matters. Raises ValueError on NUL or an empty name."""
    if not name or "\0" in name:
        raise ValueError("bad identifier")
    return '"' + name.replace('"', '""') + '"'


def render(plan: Plan, values: SlotValues, literals: Sequence[str] = ()) -> str:
    """The text to send: pieces joined, slots filled. `literals`: the client's, as taken from the shape."""
    out: list[str] = []
    for piece in plan.pieces:
        if isinstance(piece, str):
            out.append(piece)
        elif isinstance(piece, ClientText):
            out.append(piece.text)
        else:
            out.append(fill_slot(piece, values, literals))
    return "".join(out)


def fill_slot(slot: Slot, values: SlotValues, literals: Sequence[str] = ()) -> str:
    """The SQL text that stands for a slot in one session."""
    match slot.kind:
        case SlotKind.TENANT:
            return values.tenant
        case SlotKind.SCHEMA:
            return values.schema
        case SlotKind.SCHEMA_NAME:
            return quote_literal(values.schema[1:-1].replace('""', '"'))
        case SlotKind.SUBJECT:
            return values.subject
        case SlotKind.ATTRIBUTE:
            return values.attributes.get(slot.name, "NULL")
        case SlotKind.NAMESPACE:
            return quote_literal(_known(values.namespace))
        case SlotKind.CHANNEL:
            return quote_identifier(target_channel(_known(values.namespace), slot.name))
        case SlotKind.AUTHOR:
            return values.author
        case SlotKind.LOCK_KEY:
            return quote_literal(_known(values.lock_key))
        case SlotKind.QUOTAS:
            return quota_query(()) if values.quotas is None else values.quotas()
        case SlotKind.LITERAL:
            return literals[slot.index]


QuotaLine = tuple[str, str, str | None, str | None, str | None, str]
"""quota, limit, used, percent, resets at (a moment, None: never), mode; numbers as SQL has them."""


def quota_query(lines: Sequence[QuotaLine]) -> str:
    """A query whose rows are these lines: what SHOW QUOTA becomes."""
    types = ("text", "numeric", "numeric", "numeric", "timestamptz", "text")
    rows = [", ".join(map(_typed, line, types)) for line in lines] or [
        ", ".join(f"NULL::pg_catalog.{t}" for t in types)
    ]
    values = ", ".join(f"({row})" for row in rows)
    query = f'SELECT * FROM (VALUES {values}) AS quotas(quota, "limit", used, percent, resets_at, mode)'  # noqa: S608
    return query if lines else f"{query} WHERE false"


def _typed(value: str | None, of: str) -> str:
    return f"{'NULL' if value is None else quote_literal(value)}::pg_catalog.{of}"


def _known(value: str) -> str:
    """Raises ValueError rather than let an empty value stand for every tenant."""
    if not value:
        raise ValueError("a slot without a value")
    return value
