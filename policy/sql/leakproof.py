"""Whether everything that a statement applies to rows, before its filters, keeps quiet about them.

PostgreSQL flattens a guarded sub-select and orders quals by cost, so the client's predicate may meet another tenant's
row before the tenant test drops it. That is harmless when the predicate cannot fail and has no effect: comparisons of
columns of well-known types with constants, parameters or columns of the same family (column_families.py).
Anything else makes the guard a barrier (corpus/README.md, findings 1 and 4; DESIGN section 4). An answer `False`
costs speed, never safety.

What runs after the filters does not count: the outermost target list, ORDER BY, LIMIT, GROUP BY, aggregates and
window functions. A sub-select's target list does count, as PostgreSQL substitutes it into the outer query's quals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any

from policy.sql import builtin_functions as builtin
from policy.sql import parse
from policy.sql.catalog import Relation
from policy.sql.column_families import (
    BY_TYPE,
    CONSTANT,
    FAMILIES,
    PARAMETER,
    Columns,
    Family,
    NameScope,
    comparable,
    family_in,
    family_of_type,
    renamed,
    resolve_column,
)
from policy.sql.context import WRAPPERS, Context
from policy.sql.parse import Node, child_nodes, enums, walk
from policy.sql.references import names_of
from policy.sql.user_code import user_code_of

ast: Any = parse.ast

_Ctes = Mapping[int, Columns | None]  # output columns of the CTEs in scope, by id() of the CommonTableExpr

_COMPARISONS = frozenset({"=", "<>", "!=", "<", "<=", ">", ">="})
_BETWEEN = frozenset({"BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"})
_Kind = enums.A_Expr_Kind
_COMPARING = frozenset(
    {
        _Kind.AEXPR_OP,
        _Kind.AEXPR_OP_ANY,
        _Kind.AEXPR_OP_ALL,
        _Kind.AEXPR_DISTINCT,
        _Kind.AEXPR_NOT_DISTINCT,
        _Kind.AEXPR_IN,
        _Kind.AEXPR_BETWEEN,
        _Kind.AEXPR_NOT_BETWEEN,
        _Kind.AEXPR_BETWEEN_SYM,
        _Kind.AEXPR_NOT_BETWEEN_SYM,
    }
)
_VALUE_FUNCTIONS = MappingProxyType(
    {
        enums.SQLValueFunctionOp.SVFOP_CURRENT_DATE: "date",
        enums.SQLValueFunctionOp.SVFOP_CURRENT_TIMESTAMP: "timestamptz",
        enums.SQLValueFunctionOp.SVFOP_LOCALTIMESTAMP: "timestamp",
        enums.SQLValueFunctionOp.SVFOP_CURRENT_USER: "name",
        enums.SQLValueFunctionOp.SVFOP_SESSION_USER: "name",
    }
)
_TRANSACTION_TIMES = frozenset({"now", "transaction_timestamp", "statement_timestamp"})
_BOOLEAN_NODES = (ast.A_Expr, ast.BoolExpr, ast.NullTest, ast.BooleanTest)


class _Exposure(Enum):
    """Which expressions of a query may meet a row that is not the tenant's."""

    TOP = 1  # quals only
    FROM = 2  # quals and the target list
    QUAL = 3  # everything: it may be evaluated for rows of the query around it


def statement_is_leakproof(node: Node, context: Context, shielded: Collection[int] = ()) -> bool:
    """True when nothing in the statement can tell of a row before the guard's test has dropped it, the conditions
    with the `shielded` id()s left out.

    Takes an expression over one relation's columns, too (a role's filter or mask): a column then counts as what every
    relation of the catalog that has such a column agrees on.
    """
    if not user_code_of(context.catalog).shadowing.isdisjoint(_COMPARISONS):
        return False  # what a comparison means is not known
    classifier = _Classifier(context, shielded)
    if isinstance(node, _STATEMENTS):
        return classifier.statement(node, None, {})
    scope = NameScope(None, [("", _columns_of_all_relations(context))])
    return classifier.safe(node, scope, {})


def leaks(statement: Node, conditions: Sequence[Node], context: Context) -> list[bool]:
    """Which of these conditions, of WHERE or ON of an UPDATE, DELETE, MERGE or SELECT, could tell of a row."""
    if not user_code_of(context.catalog).shadowing.isdisjoint(_COMPARISONS):
        return [True] * len(conditions)
    return _Classifier(context).leaks(statement, conditions)


def view_is_leakproof(query: Node, context: Context) -> bool:
    """Whether a view's query is harmless wherever the view stands: its values may meet the conditions around it."""
    if not user_code_of(context.catalog).shadowing.isdisjoint(_COMPARISONS):
        return False
    return _Classifier(context).query_in_condition(query)


def _columns_of_all_relations(context: Context) -> Columns:
    found: dict[str, Family] = {}
    for relation in context.catalog.relations.values():
        for column in relation.columns:
            family = BY_TYPE.get(column.type_name)
            found[column.name] = family if found.get(column.name, family) == family else None
    return found


class _Classifier:
    """Of one statement. Recursion follows nested queries and boolean expressions, whose depth parse.scan() bounds."""

    __slots__ = ("_context", "_cte_of", "_shielded")

    def __init__(self, context: Context, shielded: Collection[int] = ()) -> None:
        self._context = context
        self._shielded = shielded
        self._cte_of = {id(reference.node): reference.cte for reference in context.references.all}

    # -- statements -------------------------------------------------------------------------------------------

    def statement(self, node: Node, parent: NameScope | None, ctes: _Ctes) -> bool:
        if isinstance(node, ast.SelectStmt):
            return self._query(node, parent, ctes, _Exposure.TOP)[0]
        if isinstance(node, ast.InsertStmt):
            return self._insert(node, parent, ctes)
        if isinstance(node, (ast.UpdateStmt, ast.DeleteStmt)):
            return self._update_or_delete(node, parent, ctes)
        if isinstance(node, ast.MergeStmt):
            return self._merge(node, parent, ctes)
        if isinstance(node, WRAPPERS):
            return node.query is None or self.statement(node.query, parent, ctes)
        return False

    def query_in_condition(self, node: Node) -> bool:
        return self._query(node, None, {}, _Exposure.QUAL)[0]

    def _insert(self, node: Node, parent: NameScope | None, ctes: _Ctes) -> bool:
        known, ok = self._with(node.withClause, parent, ctes)
        if node.selectStmt is not None:
            ok = ok and self._query(node.selectStmt, parent, known, _Exposure.TOP)[0]
        scope = NameScope(parent, [self._relation_item(node.relation, {}), ("excluded", None)])
        return ok and self._nested([node.onConflictClause, node.returningClause], scope, known)

    def _update_or_delete(self, node: Node, parent: NameScope | None, ctes: _Ctes) -> bool:
        known, ok = self._with(node.withClause, parent, ctes)
        scope = NameScope(parent, [self._relation_item(node.relation, {})])
        sources = node.fromClause if isinstance(node, ast.UpdateStmt) else node.usingClause
        ok = ok and all(self._from_item(item, scope, known, _Exposure.FROM) for item in sources or ())
        if node.whereClause is not None:
            ok = ok and self._qual(node.whereClause, scope, known)
        assignments = node.targetList if isinstance(node, ast.UpdateStmt) else ()
        return ok and self._nested([*(assignments or ()), node.returningClause], scope, known)

    def _merge(self, node: Node, parent: NameScope | None, ctes: _Ctes) -> bool:
        """The conditions of WHEN run after the join, or are enclosed in any case (rules/merge.py)."""
        known, ok = self._with(node.withClause, parent, ctes)
        scope = NameScope(parent, [self._relation_item(node.relation, {})])
        ok = ok and self._from_item(node.sourceRelation, scope, known, _Exposure.FROM)
        ok = ok and self._qual(node.joinCondition, scope, known)
        return ok and self._nested([*node.mergeWhenClauses, node.returningClause], scope, known)

    def leaks(self, node: Node, conditions: Sequence[Node]) -> list[bool]:
        """Names of levels around this one are not looked for: what is not known leaks."""
        known, _ = self._with(node.withClause, None, {})
        targets = [] if isinstance(node, ast.SelectStmt) else [self._relation_item(node.relation, {})]
        scope = NameScope(None, targets)
        self._from_items(_sources_of(node), scope, known, _Exposure.FROM)
        return [not self._qual(condition, scope, known) for condition in conditions]

    # -- queries ----------------------------------------------------------------------------------------------

    def _query(
        self, node: Node, parent: NameScope | None, ctes: _Ctes, exposure: _Exposure
    ) -> tuple[bool, Columns | None]:
        """(leakproof, the families of its output columns, also when it leaks, or None when they are not known)."""
        known, ok = self._with(node.withClause, parent, ctes)
        if not ok:
            return False, None
        if node.op != enums.SetOperation.SETOP_NONE:
            return self._set_operation(node, parent, known, exposure), None
        scope = NameScope(parent)
        inner = _Exposure.QUAL if exposure is _Exposure.QUAL else _Exposure.FROM
        ok = self._from_items(node.fromClause or (), scope, known, inner)
        ok = ok and (node.whereClause is None or self._qual(node.whereClause, scope, known))
        ok = ok and (node.havingClause is None or self._having(node.havingClause, scope, known, exposure))
        ok = ok and self._rest_of_query(node, scope, known, exposure)
        return ok, self._output(node, scope, known)

    def _from_items(self, items: Sequence[Node], scope: NameScope, ctes: _Ctes, exposure: _Exposure) -> bool:
        """Put all of them in scope: what their columns are is known of those that leak, too."""
        ok = True
        for item in items:
            if not self._from_item(item, scope, ctes, exposure):
                ok = False
                if not isinstance(item, ast.RangeSubselect):
                    scope.items.append(("", None))  # not all of its columns may have been found
        return ok

    def _rest_of_query(self, node: Node, scope: NameScope, ctes: _Ctes, exposure: _Exposure) -> bool:
        values = [value for row in node.valuesLists or () for value in row]
        targets = [target.val for target in node.targetList or ()]
        later = [
            *(value for value in node.distinctClause or () if value is not None),
            *(node.groupClause or ()),
            *(node.windowClause or ()),
            *(node.sortClause or ()),
            *(value for value in (node.limitOffset, node.limitCount) if value is not None),
        ]
        if exposure is _Exposure.TOP:
            return self._nested([*targets, *values, *later], scope, ctes)
        if not all(self.safe(value, scope, ctes) for value in (*targets, *values)):
            return False
        if exposure is _Exposure.FROM:
            return self._nested(later, scope, ctes)
        everything = [*targets, *values, *(_sorted_value(value) for value in later)]
        return not node.windowClause and all(self._safe_arguments(value, scope, ctes) for value in everything)

    def _safe_arguments(self, node: Node, scope: NameScope, ctes: _Ctes) -> bool:
        """Aggregates of a correlated sub-select see values of the row outside."""
        if not isinstance(node, ast.FuncCall) or not _runs_after_filters(node):
            return self.safe(node, scope, ctes)
        plain = node.agg_filter is None and node.agg_order is None and node.over is None
        return plain and all(self.safe(argument, scope, ctes) for argument in node.args or ())

    def _set_operation(self, node: Node, parent: NameScope | None, ctes: _Ctes, exposure: _Exposure) -> bool:
        pending, arms = [node.rarg, node.larg], []
        while pending:
            arm = pending.pop()
            plain = arm.withClause is None and not (arm.sortClause or arm.limitCount or arm.limitOffset)
            if arm.op != enums.SetOperation.SETOP_NONE and plain:
                pending += [arm.rarg, arm.larg]
            else:
                arms.append(arm)
        ok = all(self._query(arm, parent, ctes, exposure)[0] for arm in arms)
        return ok and self._nested(
            [*(node.sortClause or ()), node.limitOffset, node.limitCount], NameScope(parent), ctes
        )

    def _with(self, clause: Node, parent: NameScope | None, ctes: _Ctes) -> tuple[_Ctes, bool]:
        if clause is None:
            return ctes, True
        known = dict(ctes)
        for cte in clause.ctes:
            if isinstance(cte.ctequery, ast.SelectStmt):
                ok, columns = self._query(cte.ctequery, parent, known, _Exposure.FROM)
            else:
                ok, columns = self.statement(cte.ctequery, parent, known), None
            if not ok or cte.search_clause is not None or cte.cycle_clause is not None:
                return known, False
            known[id(cte)] = None if clause.recursive else renamed(columns, names_of(cte.aliascolnames))
        return known, True

    def _from_item(self, item: Node, scope: NameScope, ctes: _Ctes, exposure: _Exposure) -> bool:
        if isinstance(item, ast.RangeVar):
            scope.items.append(self._relation_item(item, ctes))
            return True
        if isinstance(item, ast.RangeSubselect):
            ok, columns = self._query(item.subquery, scope, ctes, exposure)
            scope.items.append((_alias_name(item), renamed(columns, _alias_columns(item))))
            return ok
        if isinstance(item, ast.RangeFunction):
            scope.items.append((_alias_name(item), None))
            arguments = [a for call in walk(item) if isinstance(call, ast.FuncCall) for a in call.args or ()]
            return not any(_names_columns(a) for a in arguments) and all(self.safe(a, scope, ctes) for a in arguments)
        return isinstance(item, ast.JoinExpr) and self._join(item, scope, ctes, exposure)

    def _join(self, item: Node, scope: NameScope, ctes: _Ctes, exposure: _Exposure) -> bool:
        if item.isNatural or item.alias is not None or item.join_using_alias is not None:
            return False
        before = len(scope.items)
        if not self._from_item(item.larg, scope, ctes, exposure):
            return False
        middle = len(scope.items)
        if not self._from_item(item.rarg, scope, ctes, exposure):
            return False
        for name in names_of(item.usingClause):
            left, right = family_in(scope.items[before:middle], name), family_in(scope.items[middle:], name)
            if not comparable(left, right):
                return False
        return item.quals is None or self._qual(item.quals, scope, ctes)

    def _relation_item(self, node: Node, ctes: _Ctes) -> tuple[str, Columns | None]:
        cte = self._cte_of.get(id(node))
        columns = self._columns_of(node) if cte is None else ctes.get(id(cte))
        name = node.relname if node.alias is None else node.alias.aliasname
        return name, renamed(columns, _alias_columns(node))

    def _columns_of(self, node: Node) -> Columns | None:
        """A masked column has no family: its mask is what the client's predicate is applied to."""
        schema = node.schemaname or self._context.schema or "public"
        relation: Relation | None = self._context.catalog.relations.get((schema, node.relname))
        if relation is None:
            return None
        access = self._context.access
        masked = {*access.table(schema, node.relname).masks, *access.table("", node.relname).masks}
        return {c.name: None if c.name in masked else BY_TYPE.get(c.type_name) for c in relation.columns}

    def _output(self, node: Node, scope: NameScope, ctes: _Ctes) -> Columns | None:
        found: dict[str, Family] = {}
        if node.valuesLists:
            for number, values in enumerate(zip(*node.valuesLists, strict=False), 1):
                families = {self._computed_family(value, scope, ctes) for value in values}
                found[f"column{number}"] = families.pop() if len(families) == 1 else None
            return found
        for target in node.targetList or ():
            for name, family in self._target_columns(target, scope, ctes):
                if name is None:
                    return None
                found[name] = None if name in found else family
        return found

    def _target_columns(self, target: Node, scope: NameScope, ctes: _Ctes) -> Iterator[tuple[str | None, Family]]:
        value = target.val
        if isinstance(value, ast.ColumnRef) and isinstance(value.fields[-1], ast.A_Star):
            names = names_of(value.fields)
            for item, columns in scope.items:
                if not names or item == names[-1]:
                    yield from ((None, None),) if columns is None else columns.items()
            return
        name = target.name
        if name is None:
            name = value.fields[-1].sval if isinstance(value, ast.ColumnRef) else "?column?"
        yield name, self._computed_family(value, scope, ctes)

    def _computed_family(self, value: Node, scope: NameScope, ctes: _Ctes) -> Family:
        """Of an output column: a constant has a type there, and arithmetic, though it may fail, has one."""
        if isinstance(value, ast.A_Const) and not value.isnull:
            return _CONSTANTS.get(type(value.val))
        if isinstance(value, ast.A_Expr) and value.kind == _Kind.AEXPR_OP and names_of(value.name) in _ARITHMETIC:
            operands = {self._computed_family(v, scope, ctes) for v in (value.lexpr, value.rexpr) if v is not None}
            return None if not operands <= {"integer", "numeric"} else "numeric" if "numeric" in operands else "integer"
        family = self._family(value, scope, ctes)
        return family if family in FAMILIES else None

    # -- conditions -------------------------------------------------------------------------------------------

    def _having(self, node: Node, scope: NameScope, ctes: _Ctes, exposure: _Exposure) -> bool:
        """Parts with an aggregate run after grouping; the others may become part of WHERE."""
        conjunction = isinstance(node, ast.BoolExpr) and node.boolop == enums.BoolExprType.AND_EXPR
        return all(
            self._nested([part], scope, ctes)
            if exposure is not _Exposure.QUAL and _has_aggregate(part)
            else self._qual(part, scope, ctes)
            for part in (node.args if conjunction else (node,))
        )

    def _qual(self, node: Node, scope: NameScope, ctes: _Ctes) -> bool:
        if id(node) in self._shielded:
            return True
        if isinstance(node, ast.BoolExpr):
            return all(self._qual(argument, scope, ctes) for argument in node.args)
        if isinstance(node, ast.A_Expr):
            return self._comparison(node, scope, ctes)
        if isinstance(node, ast.NullTest):
            return self.safe(node.arg, scope, ctes)
        if isinstance(node, ast.BooleanTest):
            return self._qual(node.arg, scope, ctes)
        if isinstance(node, ast.SubLink):
            return self._sub_link(node, scope, ctes)
        if isinstance(node, ast.FuncCall):
            return self._leakproof_call(node, scope, ctes)
        return self._family(node, scope, ctes) in ("boolean", CONSTANT, PARAMETER)

    def _comparison(self, node: Node, scope: NameScope, ctes: _Ctes) -> bool:
        *schema, operator = names_of(node.name)
        if node.kind not in _COMPARING or schema not in ([], ["pg_catalog"]):
            return False
        if operator not in _COMPARISONS and operator not in _BETWEEN:
            return False
        left, right = node.lexpr, node.rexpr
        if left is None or right is None:
            return False
        if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
            lefts, rights = left.args or (), right.args or ()
        else:
            rights = _members(right)
            lefts = (left,) * len(rights)
        return len(lefts) == len(rights) and all(
            comparable(self._family(a, scope, ctes), self._family(b, scope, ctes))
            for a, b in zip(lefts, rights, strict=True)
        )

    def _sub_link(self, node: Node, scope: NameScope, ctes: _Ctes) -> bool:
        ok, columns = self._query(node.subselect, scope, ctes, _Exposure.QUAL)
        if not ok or node.subLinkType == enums.SubLinkType.EXISTS_SUBLINK:
            return ok
        if columns is None or len(columns) != 1:
            return False
        family = next(iter(columns.values()))
        if node.subLinkType == enums.SubLinkType.EXPR_SUBLINK:
            return family == "boolean"
        if node.subLinkType not in (enums.SubLinkType.ANY_SUBLINK, enums.SubLinkType.ALL_SUBLINK):
            return False
        *schema, operator = ("=",) if node.operName is None else names_of(node.operName)
        return (
            schema in ([], ["pg_catalog"])
            and operator in _COMPARISONS
            and comparable(self._family(node.testexpr, scope, ctes), family)
        )

    def _leakproof_call(self, node: Node, scope: NameScope, ctes: _Ctes) -> bool:
        """A boolean function whose overloads are all leakproof; over text, so that no argument is converted."""
        schema, name = ("", *names_of(node.funcname))[-2:]
        catalog = self._context.catalog
        known = name in catalog.leakproof_functions and (
            schema == "pg_catalog" or (schema == "" and name not in catalog.user_functions)
        )
        return (
            known
            and node.over is None
            and all(self._family(a, scope, ctes) in ("text", CONSTANT) for a in node.args or ())
        )

    # -- values -----------------------------------------------------------------------------------------------

    def safe(self, node: Node, scope: NameScope, ctes: _Ctes) -> bool:
        """It can be evaluated for any row without telling: a column as it is, a constant, a harmless condition."""
        if isinstance(node, ast.ColumnRef):
            return resolve_column(node, scope) is not None or not self._may_be_a_call(node)
        if isinstance(node, (ast.A_Const, ast.ParamRef, ast.SQLValueFunction)):
            return True
        if isinstance(node, ast.TypeCast):
            return isinstance(node.arg, (ast.A_Const, ast.ParamRef))
        if isinstance(node, ast.FuncCall) and _runs_after_filters(node):
            return self._nested([node], scope, ctes)
        if isinstance(node, ast.CaseExpr):
            constants = all(isinstance(value, ast.A_Const) for value in _case_results(node))
            return self._case_is_harmless(node, scope, ctes) and (
                constants or self._family(node, scope, ctes) is not None
            )
        if isinstance(node, _BOOLEAN_NODES):
            return self._qual(node, scope, ctes)
        return self._family(node, scope, ctes) is not None

    def _may_be_a_call(self, node: Node) -> bool:
        """`a.f` means f(a) when `a` has no column f."""
        names = names_of(node.fields)
        known = names[-1:] and (names[-1] in builtin.ALLOWED or names[-1] in self._context.catalog.user_functions)
        return bool(known) and len(node.fields) > 1 and len(names) == len(node.fields)

    def _case_is_harmless(self, node: Node, scope: NameScope, ctes: _Ctes) -> bool:
        return node.arg is None and all(self._qual(when.expr, scope, ctes) for when in node.args)

    def _family(self, node: Node, scope: NameScope, ctes: _Ctes) -> Family:
        if isinstance(node, ast.ColumnRef):
            return resolve_column(node, scope)
        if isinstance(node, ast.A_Const):
            return CONSTANT
        if isinstance(node, ast.ParamRef):
            return PARAMETER
        if isinstance(node, ast.SQLValueFunction):
            return _VALUE_FUNCTIONS.get(node.op)
        if isinstance(node, ast.TypeCast):
            constant = isinstance(node.arg, (ast.A_Const, ast.ParamRef))
            return family_of_type(node.typeName) if constant else None
        if isinstance(node, ast.FuncCall):
            return self._call_family(node, scope, ctes)
        if isinstance(node, ast.CoalesceExpr):
            return self._common_family(node.args, scope, ctes)
        if isinstance(node, ast.CaseExpr) and self._case_is_harmless(node, scope, ctes):
            return self._common_family(_case_results(node), scope, ctes)
        if isinstance(node, ast.SubLink) and node.subLinkType == enums.SubLinkType.EXPR_SUBLINK:
            ok, columns = self._query(node.subselect, scope, ctes, _Exposure.QUAL)
            return next(iter(columns.values())) if ok and columns is not None and len(columns) == 1 else None
        return None

    def _call_family(self, node: Node, scope: NameScope, ctes: _Ctes) -> Family:
        name = names_of(node.funcname)[-1]
        if name in _TRANSACTION_TIMES and not node.args:
            return "timestamptz"
        if not _runs_after_filters(node) or node.agg_filter is not None or node.over is not None:
            return None
        if name == "count":
            return "integer" if all(self.safe(a, scope, ctes) for a in node.args or ()) else None
        if name in ("min", "max") and len(node.args or ()) == 1:
            family = self._family(node.args[0], scope, ctes)
            return family if family in FAMILIES else None
        return None

    def _common_family(self, values: tuple[Node, ...], scope: NameScope, ctes: _Ctes) -> Family:
        """Of values that PostgreSQL brings to one type, when that needs no conversion but of constants."""
        families = {self._family(value, scope, ctes) for value in values} - {CONSTANT}
        found = families.pop() if len(families) == 1 else None
        return found if found in FAMILIES else None

    def _nested(self, values: list[Any], scope: NameScope, ctes: _Ctes) -> bool:
        """Queries inside expressions that themselves run after the filters."""
        stack = [value for value in values if value is not None]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.SelectStmt):
                if not self._query(node, scope, ctes, _Exposure.TOP)[0]:
                    return False
            else:
                stack.extend(child_nodes(node))
        return True


_ARITHMETIC = frozenset((operator,) for operator in "+-*/%")
_CONSTANTS: Mapping[type, Family] = MappingProxyType(
    {ast.Integer: "integer", ast.Float: "numeric", ast.String: "text", ast.Boolean: "boolean"}
)

_STATEMENTS = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt, *WRAPPERS)


def _sources_of(node: Node) -> tuple[Node, ...]:
    if isinstance(node, ast.MergeStmt):
        return (node.sourceRelation,)
    return (node.usingClause if isinstance(node, ast.DeleteStmt) else node.fromClause) or ()


def _case_results(node: Node) -> tuple[Node, ...]:
    results = tuple(when.result for when in node.args)
    return results if node.defresult is None else (*results, node.defresult)


def _members(node: Node) -> tuple[Node, ...]:
    """What one operand of a comparison is compared with: list, array constructor or the value itself."""
    if isinstance(node, tuple):
        return node
    if isinstance(node, ast.A_ArrayExpr):
        return tuple(node.elements or ())
    return (node,)


def _runs_after_filters(node: Node) -> bool:
    """A built-in aggregate or a window call."""
    names = names_of(node.funcname)
    known = (len(names) == 1 or names[-2] == "pg_catalog") and names[-1] in builtin.AGGREGATES | builtin.WINDOWS
    return known or node.over is not None


def _has_aggregate(node: Node) -> bool:
    stack = [node]
    while stack:
        found = stack.pop()
        if isinstance(found, ast.SelectStmt):
            continue
        if isinstance(found, ast.FuncCall) and _runs_after_filters(found):
            return True
        stack.extend(child_nodes(found))
    return False


def _names_columns(node: Node) -> bool:
    return any(isinstance(found, (ast.ColumnRef, ast.SelectStmt)) for found in walk(node))


def _sorted_value(node: Node) -> Node:
    return node.node if isinstance(node, ast.SortBy) else node


def _alias_name(item: Node) -> str:
    return "" if item.alias is None else str(item.alias.aliasname)


def _alias_columns(item: Node) -> tuple[str, ...]:
    return names_of(item.alias.colnames) if item.alias is not None else ()
