"""Where every relation of a statement is named, per scope, and which of the names are CTEs.

Scoping is PostgreSQL's (parse_cte.c): a CTE sees the earlier siblings of its WITH and what is visible outside;
in WITH RECURSIVE it sees itself and all siblings; a qualified name is never a CTE and neither is the target of INSERT,
UPDATE, DELETE or MERGE. Knows nothing of catalogs or policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from policy.sql.parse import ast, child_nodes, enums
from policy.sql.tokens import Tokens

Node = Any
_NO_CTES: Mapping[str, Node] = {}


class Place(Enum):
    """What a relation is named for."""

    FROM = "from"  # FROM and JOIN of a SELECT, FROM of UPDATE, USING of DELETE and MERGE
    TARGET = "target"  # of INSERT, UPDATE, DELETE, MERGE
    COPY = "copy"
    OTHER = "other"  # everything else: LOCK, TRUNCATE, DDL, SELECT INTO …


@dataclass(slots=True, eq=False)
class Scope:
    """One query level: a SELECT without set operations, a set operation's own clauses, or a DML statement."""

    node: Node
    parent: Scope | None
    references: list[Reference] = field(default_factory=list)
    columns: list[Node] = field(default_factory=list)  # ColumnRef nodes of this level

    def chain(self) -> list[Scope]:
        """This scope and those around it, inside out."""
        found: list[Scope] = []
        scope: Scope | None = self
        while scope is not None:
            found.append(scope)
            scope = scope.parent
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """One RangeVar. `start:end` spans the name as written, with ONLY, brackets and `*` but without the alias.

    nullable: stands on the nullable side of an outer join. sample: the TABLESAMPLE clause that it stands under.
    """

    node: Node
    schema: str | None
    name: str
    catalog: str | None
    only: bool
    alias: str | None
    start: int
    end: int
    place: Place
    scope: Scope
    cte: Node | None = None
    nullable: bool = False
    sample: Node | None = None
    in_join: bool = False

    @property
    def has_alias(self) -> bool:
        return self.alias is not None

    @property
    def visible_name(self) -> str:
        """The name that column references use for it."""
        return self.name if self.alias is None else self.alias

    @property
    def position(self) -> int:
        """1-based, for errors."""
        return int(self.node.location) + 1

    @property
    def written(self) -> str:
        """The name for messages, qualified as the client did."""
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class References:
    """Everything of one statement, in the order of the walk. `writes`: its INSERT, UPDATE, DELETE, MERGE nodes."""

    all: tuple[Reference, ...]
    scopes: tuple[Scope, ...]
    writes: tuple[Node, ...]

    def target_of(self, node: Node) -> Reference:
        """The reference that is the target of a DML node, or a COPY's table."""
        return next(r for r in self.all if r.node is node.relation)


def collect_references(statement: Node, tokens: Tokens) -> References:
    """Find every relation named in a statement's tree (of the text that `tokens` were scanned from)."""
    collector = _Collector(tokens)
    collector.statement(statement, _NO_CTES, None)
    return References(tuple(collector.found), tuple(collector.scopes), tuple(collector.writes))


class _Collector:
    """One walk. Recursion follows nested queries only; expressions are walked with a stack."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.found: list[Reference] = []
        self.scopes: list[Scope] = []
        self.writes: list[Node] = []

    def statement(self, node: Node, ctes: Mapping[str, Node], parent: Scope | None) -> None:
        match node:
            case ast.SelectStmt():
                self._select(node, ctes, parent)
            case ast.InsertStmt() | ast.UpdateStmt() | ast.DeleteStmt() | ast.MergeStmt():
                self._write(node, ctes, parent)
            case _:
                place = Place.COPY if isinstance(node, ast.CopyStmt) else Place.OTHER
                self._fields(node, ctes, self._open(node, parent), place=place)

    def _open(self, node: Node, parent: Scope | None) -> Scope:
        scope = Scope(node, parent)
        self.scopes.append(scope)
        return scope

    def _select(self, node: Node, ctes: Mapping[str, Node], parent: Scope | None) -> None:
        scope = self._open(node, parent)
        ctes = self._with(node.withClause, ctes, scope)
        if node.op != enums.SetOperation.SETOP_NONE:
            self._set_operation(node, ctes, scope)
            return
        for item in node.fromClause or ():
            self._from_item(item, ctes, scope, nullable=False)
        self._fields(node, ctes, scope, skip=frozenset({"withClause", "fromClause"}))

    def _set_operation(self, node: Node, ctes: Mapping[str, Node], scope: Scope) -> None:
        """Take the arms of a chain in order, without recursing down its left side."""
        arms: list[Node] = []
        pending = [node.rarg, node.larg]
        while pending:
            arm = pending.pop()
            plain = not (arm.withClause or arm.sortClause or arm.limitCount or arm.limitOffset or arm.lockingClause)
            if arm.op != enums.SetOperation.SETOP_NONE and plain:
                pending += [arm.rarg, arm.larg]
            else:
                arms.append(arm)
        for arm in arms:
            self._select(arm, ctes, scope.parent)
        self._fields(node, ctes, scope, skip=frozenset({"withClause", "larg", "rarg"}))

    def _write(self, node: Node, ctes: Mapping[str, Node], parent: Scope | None) -> None:
        scope = self._open(node, parent)
        self.writes.append(node)
        ctes = self._with(node.withClause, ctes, scope)
        self._add(node.relation, _NO_CTES, scope, Place.TARGET)
        match node:
            case ast.UpdateStmt():
                sources = node.fromClause or ()
            case ast.DeleteStmt():
                sources = node.usingClause or ()
            case ast.MergeStmt():
                sources = (node.sourceRelation,)
            case _:
                sources = ()
        for item in sources:
            self._from_item(item, ctes, scope, nullable=False)
        skip = frozenset({"withClause", "relation", "fromClause", "usingClause", "sourceRelation"})
        self._fields(node, ctes, scope, skip=skip)

    def _with(self, clause: Node, ctes: Mapping[str, Node], scope: Scope) -> Mapping[str, Node]:
        if clause is None:
            return ctes
        visible = dict(ctes)
        if clause.recursive:
            visible.update((cte.ctename, cte) for cte in clause.ctes)
        for cte in clause.ctes:
            self.statement(cte.ctequery, dict(visible), scope.parent)
            for extra in (cte.search_clause, cte.cycle_clause):
                if extra is not None:
                    self._expression(extra, visible, scope)
            visible[cte.ctename] = cte
        return visible

    def _from_item(
        self,
        item: Node,
        ctes: Mapping[str, Node],
        scope: Scope,
        *,
        nullable: bool,
        sample: Node | None = None,
        in_join: bool = False,
    ) -> None:
        match item:
            case ast.RangeVar():
                self._add(item, ctes, scope, Place.FROM, nullable=nullable, sample=sample, in_join=in_join)
            case ast.JoinExpr():
                left, right = _nullable_sides(item.jointype)
                self._from_item(item.larg, ctes, scope, nullable=nullable or left, in_join=True)
                self._from_item(item.rarg, ctes, scope, nullable=nullable or right, in_join=True)
                if item.quals is not None:
                    self._expression(item.quals, ctes, scope)
            case ast.RangeTableSample():
                self._from_item(item.relation, ctes, scope, nullable=nullable, sample=item)
                for value in (*(item.args or ()), item.repeatable):
                    if value is not None:
                        self._expression(value, ctes, scope)
            case _:
                self._expression(item, ctes, scope)

    def _fields(
        self,
        node: Node,
        ctes: Mapping[str, Node],
        scope: Scope,
        *,
        skip: frozenset[str] = frozenset(),
        place: Place = Place.OTHER,
    ) -> None:
        for child in child_nodes(node, skip):
            self._expression(child, ctes, scope, place)

    def _expression(self, root: Node, ctes: Mapping[str, Node], scope: Scope, place: Place = Place.OTHER) -> None:
        stack = [root]
        while stack:
            node = stack.pop()
            match node:
                case ast.SelectStmt() | ast.InsertStmt() | ast.UpdateStmt() | ast.DeleteStmt() | ast.MergeStmt():
                    self.statement(node, ctes, scope)
                case ast.RangeVar():
                    self._add(node, _NO_CTES, scope, place)
                case ast.ColumnRef():
                    scope.columns.append(node)
                case ast.LockingClause():
                    pass  # FOR UPDATE OF names what FROM has named already
                case _:
                    stack.extend(child_nodes(node))

    def _add(
        self,
        node: Node,
        ctes: Mapping[str, Node],
        scope: Scope,
        place: Place,
        *,
        nullable: bool = False,
        sample: Node | None = None,
        in_join: bool = False,
    ) -> None:
        cte = ctes.get(node.relname) if node.schemaname is None and node.catalogname is None else None
        start, end = _span(node, self.tokens)
        reference = Reference(
            node=node,
            schema=node.schemaname,
            name=node.relname,
            catalog=node.catalogname,
            only=not node.inh,
            alias=node.alias.aliasname if node.alias is not None else None,
            start=start,
            end=end,
            place=place,
            scope=scope,
            cte=cte,
            nullable=nullable,
            sample=sample,
            in_join=in_join,
        )
        scope.references.append(reference)
        self.found.append(reference)


def _nullable_sides(jointype: Any) -> tuple[bool, bool]:
    """(left, right) side may be filled with NULLs."""
    kinds = enums.JoinType
    return (jointype in (kinds.JOIN_RIGHT, kinds.JOIN_FULL), jointype in (kinds.JOIN_LEFT, kinds.JOIN_FULL))


def _span(node: Node, tokens: Tokens) -> tuple[int, int]:
    """The name with ONLY before it (and its brackets) or `*` after it; (0, 0) where the tree has no location."""
    if node.location is None or node.location < 0:
        return (0, 0)
    first = tokens.index_at(node.location)
    after = tokens.qualified_name_end(first)
    if not node.inh:
        if tokens.name(first - 1) == "ASCII_40" and tokens.name(first - 2) == "ONLY":
            return (tokens.items[first - 2].start, tokens.items[after].end)
        if tokens.name(first - 1) == "ONLY":
            first -= 1
    elif tokens.name(after) == "ASCII_42":
        after += 1
    return (tokens.items[first].start, tokens.end_before(after))


def names_of(values: Any) -> tuple[str, ...]:
    """The strings of a list of String nodes; other nodes (A_Star, A_Indices) are left out."""
    return tuple(str(v.sval) for v in values or () if isinstance(v, ast.String))
