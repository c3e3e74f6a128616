"""What the rules of one statement share: what they may look at, and what they have decided so far.

A rule reads `access`, `catalog`, the tree and the tokens, and records: edits of the client's text, what the check of
the outcome must expect, and notes for `explain` and the audit. It raises a StatementRefused to refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from policy.access import Access
from policy.model import Isolation
from policy.sql.catalog import Catalog
from policy.sql.parse import Statement, ast, walk
from policy.sql.plan import ClientText, CopyStamp, Piece, SettingChange, StatementKind
from policy.sql.references import Reference, References
from policy.sql.rewrite import Edit
from policy.sql.tokens import Tokens

if TYPE_CHECKING:
    from policy.sql.rules.copy_staged import StagedCopy

Node = Any
Unwrap = Callable[[Node], Node]

WRAPPERS = (ast.ExplainStmt, ast.DeclareCursorStmt, ast.PrepareStmt, ast.CopyStmt, ast.CreateTableAsStmt)


@dataclass(slots=True)
class Context:
    """Lives for the compilation of one statement.

    schema: the session's own schema (schema strategy), else "". text and tokens are of the whole query string; all
    offsets refer to it.
    pinned: a rule read a literal's value, so the plan holds for this very text only.
    """

    access: Access
    catalog: Catalog
    schema: str
    text: str
    tokens: Tokens
    statement: Statement
    references: References
    kind: StatementKind = StatementKind.UTILITY
    command: str = ""
    write: bool = False
    pinned: bool = False
    has_runtime_check: bool = False
    copy_stamp: CopyStamp | None = None
    staged: StagedCopy | None = None
    session_action: tuple[str, ...] = ()
    settings: list[SettingChange] = field(default_factory=list)
    pins: str = ""
    leaves: int = 0
    temporary: bool = False  # the statement is about the session's own temporary tables (rules/temporary.py)
    own_text: bool = True  # False: the text is a view's definition, which means no temporary table
    edits: list[Edit] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    expected: dict[int, Unwrap] = field(default_factory=dict)
    leakproof: bool | None = None  # answered once, see guard.needs_barrier
    approvals: dict[str, str] = field(default_factory=dict)  # policies that want a reference, and its pattern
    row_limit: int | None = None  # of the result, by policies; of relations that it reads, the least
    byte_limit: int | None = None
    limited_by: list[str] = field(default_factory=list)
    shielded: dict[int, Reference] = field(default_factory=dict)  # operands of WHERE by id(), see rules/shields.py
    _nodes: tuple[Node, ...] = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The statement's node and everything below it; walked once."""
        if not self._nodes:
            self._nodes = tuple(walk(self.statement.node))
        return self._nodes

    @property
    def outermost(self) -> Node:
        """The query around which there is none, of which EXPLAIN, DECLARE, PREPARE, COPY or CREATE TABLE may be made;
        None in a view."""
        node = self.statement.node
        while isinstance(node, WRAPPERS):
            node = node.query
        return node if self.own_text else None

    @property
    def by_policy(self) -> bool:
        """Policies want to look at each run of it: an approval, or the bytes of the result."""
        return bool(self.approvals) or self.byte_limit is not None

    @property
    def shared(self) -> bool:
        return self.access.isolation is Isolation.SHARED

    @property
    def has_own_code(self) -> bool:
        """The session may store code in a database of its tenant's own, and so do there whatever its login role may."""
        return self.access.code and self.access.isolation is Isolation.DATABASE

    @property
    def into(self) -> Node:
        """The INTO clause of a SELECT that makes a table, else None."""
        node = self.statement.node
        while isinstance(node, ast.SelectStmt) and node.larg is not None:
            node = node.larg
        return node.intoClause if isinstance(node, ast.SelectStmt) else None

    def replace(self, start: int, end: int, *pieces: Piece) -> None:
        """Put pieces in place of `text[start:end]`. Edits may not overlap: to enclose text, use `wrap`."""
        self.edits.append(Edit(start, end, pieces))

    def insert(self, at: int, *pieces: Piece) -> None:
        self.edits.append(Edit(at, at, pieces))

    def wrap(self, start: int, end: int, before: tuple[Piece, ...], after: tuple[Piece, ...]) -> None:
        """Enclose `text[start:end]`, which may be edited on its own."""
        self.edits.append(Edit(start, start, before, other=end))
        self.edits.append(Edit(end, end, after, closing=True, other=start))

    def client_text(self, start: int, end: int) -> ClientText:
        """The client's own text as a piece, for use inside other pieces (its literals stay slots)."""
        return ClientText(self.text[start:end], start)

    def expect(self, node: Node, unwrap: Unwrap) -> None:
        """Tell verify.py what became of `node` (a node of the client's tree).

        `unwrap` gets the node that stands in its place in the tree of the rewritten text. It must check that the guard
        stands there (raise errors.UnsupportedStatement by `verify.failed()` otherwise), take the guard away and return
        a node that equals the client's: it may change and return the node that it got. Its children are then compared
        as usual, with their own `expect`s. Of several for one node the last registered goes first.
        """
        earlier = self.expected.get(id(node))
        self.expected[id(node)] = unwrap if earlier is None else lambda found: earlier(unwrap(found))

    def expect_also(self, node: Node, unwrap: Unwrap) -> None:
        """As `expect`, for a node of which something else is expected, too: at another place of it."""
        earlier = self.expected.get(id(node))
        self.expected[id(node)] = unwrap if earlier is None else lambda found: earlier(unwrap(found))

    def note(self, rule: str) -> None:
        """A sentence for `explain` and the audit, such as `orders: tenant filter on tenant_id`."""
        if rule not in self.rules:
            self.rules.append(rule)

    def reach(self, schema: str, name: str) -> None:
        """Record a relation that the statement touches."""
        qualified = f"{schema}.{name}"
        if qualified not in self.relations:
            self.relations.append(qualified)

    def pin(self) -> None:
        self.pinned = True

    def target_of(self, node: Node) -> Reference:
        return self.references.target_of(node)
