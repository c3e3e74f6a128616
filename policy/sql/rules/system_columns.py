"""System columns of guarded relations: which may be used, and how they come out of a guard's sub-select.

What they tell decides. `tableoid` names the table or partition that a row is in: harmless. `ctid` says where a row
stands, and so how many rows of others stand before it: it may be compared with another `ctid` and sorted by, which
is what it serves for (deleting in batches, removing duplicates), but not be shown or compared with a value other than
the one before all rows, `ctid > '(0,0)'`.
`xmax` may be compared with 0, which tells whether an upsert inserted. `xmin`, `cmin`, `cmax` and all other uses
are refused: transaction ids count the work of others. None of this holds in a schema or database of the tenant's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql.context import Context
from policy.sql.parse import ast, enums, walk
from policy.sql.references import Place, Reference, Scope, names_of

Node = Any
Wanted = dict[Reference, set[str]]

_SYSTEM_NAMES = frozenset((name,) for name in ("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"))

_HINTS = {
    "ctid": "Compare it with another ctid, as in ctid IN (SELECT ctid FROM …), or use the primary key.",
    "xmax": "Compare it with 0, as in RETURNING (xmax = 0), or use a column of your own.",
}
_COMPARISONS = frozenset({"=", "<>", "!=", "<", "<=", ">", ">="})
_BEYOND = frozenset({"<>", "!=", ">", ">="})  # true of every row, after the place before all rows
_Kind = enums.A_Expr_Kind


def wanted_system_columns(context: Context) -> Wanted:
    """The system columns that are used of each relation. Raises UnsupportedStatement (0A000) for uses that tell."""
    found: Wanted = defaultdict(set)
    used = {id(column): (column, scope) for scope in context.references.scopes for column in _system(scope)}
    if not used:
        return found
    harmless = set(map(id, _Harmless(context, {key: scope for key, (_, scope) in used.items()}).columns()))
    for column, scope in used.values():
        name = names_of(column.fields)[-1]
        owners, _ = _owners(column, scope)
        if owners and context.shared and name != "tableoid" and id(column) not in harmless:
            raise UnsupportedStatement(
                f"system column {name} cannot be used so",
                hint=_HINTS.get(name, "Use a column of the table."),
                position=column.location + 1,
            )
        for owner in owners:
            found[owner].add(name)
    return found


def is_expanded(reference: Reference, context: Context) -> bool:
    """Whether `*`, a whole-row reference or a join as a whole would show a further column of the relation."""
    node = reference.scope.node
    sources = getattr(node, "fromClause", None) or getattr(node, "usingClause", None) or ()
    joins = [found for item in sources for found in walk(item) if isinstance(found, ast.JoinExpr)]
    if any(join.isNatural or join.alias is not None for join in joins):
        return True
    whole = (reference.visible_name,)
    for scope in context.references.scopes:
        for column in scope.columns:
            names = names_of(column.fields)
            star = isinstance(column.fields[-1], ast.A_Star)
            if names[-1:] == whole and (star or len(names) == 1):
                return True
            if star and not names and scope is reference.scope:
                return True
    return False


def _system(scope: Scope) -> Iterator[Node]:
    for column in scope.columns:
        if not isinstance(column.fields[-1], ast.A_Star) and names_of(column.fields)[-1:] in _SYSTEM_NAMES:
            yield column


def _owners(column: Node, scope: Scope) -> tuple[list[Reference], bool]:
    """The tables that a system column may be of, at the innermost level that has one, and whether it is theirs for
    certain: a sub-select, function or CTE on the way could have a column of that name."""
    names = names_of(column.fields)
    certain = True
    for around in scope.chain():
        tables = [r for r in around.references if _is_table(r)]
        owners = [r for r in tables if len(names) == 1 or names[-2] == r.visible_name]
        plain = len(tables) == len(around.references) and not has_other_sources(around.node)
        if owners:
            return owners, certain and len(owners) == 1 and (plain or len(names) > 1)
        certain = certain and plain
    return [], False


def _is_table(reference: Reference) -> bool:
    own_place = reference.place in (Place.FROM, Place.TARGET)
    return own_place and reference.cte is None and not reference.name.startswith("pg_")


def has_other_sources(node: Node) -> bool:
    """Whether FROM has anything but tables and joins of tables."""
    stack = [*(getattr(node, "fromClause", None) or ()), *(getattr(node, "usingClause", None) or ())]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.JoinExpr) and item.alias is None and item.join_using_alias is None:
            stack += [item.larg, item.rarg]
        elif not isinstance(item, ast.RangeVar):
            return True
    return isinstance(node, ast.MergeStmt)


@dataclass(frozen=True, slots=True)
class _Harmless:
    """Finds the column references in places where what they hold cannot be seen. scopes: by id of the reference."""

    context: Context
    scopes: Mapping[int, Scope]

    def columns(self) -> Iterator[Node]:
        for node in walk(self.context.statement.node):
            if isinstance(node, ast.A_Expr):
                yield from self._compared(node)
            elif isinstance(node, ast.SubLink):
                if self._same_table(node.testexpr, _selected(node.subselect)):
                    yield from (node.testexpr, _selected(node.subselect))
            elif isinstance(node, ast.SortBy) and self._table(node.node) is not None:
                yield node.node

    def _compared(self, node: Node) -> Iterator[Node]:
        left, right = node.lexpr, node.rexpr
        if not _COMPARISONS.issuperset(names_of(node.name)[-1:]):
            return
        if node.kind not in (_Kind.AEXPR_OP, _Kind.AEXPR_OP_ANY):
            return
        if isinstance(right, ast.SubLink):
            right = _selected(right.subselect)
        if self._same_table(left, right):
            yield from (left, right)
        if self._table(left) is not None and names_of(node.name)[-1] in _BEYOND and _is_before_all(right):
            self.context.pin()
            yield left
        if _is(left, "xmax") and isinstance(right, ast.A_Const):
            self.context.pin()
            if isinstance(right.val, ast.Integer) and not right.val.ival:
                yield left

    def _same_table(self, left: Node, right: Node) -> bool:
        """Whether both are the ctid of one table: compared with that of another, or a value, it would tell."""
        table = self._table(left)
        return table is not None and table == self._table(right)

    def _table(self, node: Node) -> tuple[str, str] | None:
        """Schema and name of the table whose ctid it surely is; partitions would be compared as two tables."""
        owners, certain = _owners(node, self.scopes[id(node)]) if _is(node, "ctid") else ([], False)
        if not certain:
            return None
        key = (owners[0].schema or self.context.schema or "public", owners[0].name)
        relation = self.context.catalog.relations.get(key)
        return None if relation is None or relation.has_children else key


def _is(node: Node, name: str) -> bool:
    return isinstance(node, ast.ColumnRef) and names_of(node.fields)[-1:] == (name,)


def _is_before_all(node: Node) -> bool:
    """Whether it is '(0,0)', or that as a tid: rows are numbered from 1 in each block."""
    if isinstance(node, ast.TypeCast):
        kind: Node = node.typeName
        node = node.arg if names_of(kind.names)[-1:] == ("tid",) else None
    return isinstance(node, ast.A_Const) and isinstance(node.val, ast.String) and node.val.sval == "(0,0)"


def _selected(query: Node) -> Node | None:
    """The only column of a sub-select, or what it is the least or greatest of."""
    if not isinstance(query, ast.SelectStmt) or query.op != enums.SetOperation.SETOP_NONE:
        return None
    targets = query.targetList or ()
    value: Node = targets[0].val if len(targets) == 1 else None
    if isinstance(value, ast.FuncCall):
        arguments = value.args or ()
        return arguments[0] if len(arguments) == 1 and names_of(value.funcname) in (("min",), ("max",)) else None
    return value
