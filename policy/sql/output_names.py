"""The name that PostgreSQL gives a column of a query whose expression has no alias.

Where a rule puts another expression in a client's place, the column keeps its name so. Source: FigureColname in
parse_target.c; what it does not name is `?column?`.
"""

from __future__ import annotations

from typing import Any

from policy.sql.parse import ast, enums
from policy.sql.references import names_of

Node = Any

_Value = enums.SQLValueFunctionOp
_VALUE_FUNCTIONS = {
    _Value.SVFOP_CURRENT_DATE: "current_date",
    _Value.SVFOP_CURRENT_USER: "current_user",
    _Value.SVFOP_USER: "user",
    _Value.SVFOP_SESSION_USER: "session_user",
    _Value.SVFOP_CURRENT_ROLE: "current_role",
    _Value.SVFOP_CURRENT_CATALOG: "current_catalog",
    _Value.SVFOP_CURRENT_SCHEMA: "current_schema",
}
_CONSTRUCTS = {ast.A_ArrayExpr: "array", ast.RowExpr: "row", ast.CoalesceExpr: "coalesce"}
_WEAK, _STRONG = 1, 2


def column_name(expression: Node) -> str:
    return _figure(expression)[0] or "?column?"


def _figure(node: Node) -> tuple[str, int]:
    """(name, how much it is one): a cast gives its type's name where nothing within is named but by a cast."""
    match node:
        case ast.ColumnRef():
            fields = names_of(node.fields)
            return (fields[-1], _STRONG) if fields else ("", 0)
        case ast.A_Indirection():
            steps = names_of(node.indirection)
            return (steps[-1], _STRONG) if steps else _figure(node.arg)
        case ast.FuncCall():
            return names_of(node.funcname)[-1], _STRONG
        case ast.CollateClause():
            return _figure(node.arg)
        case ast.TypeCast():
            name, strength = _figure(node.arg)
            type_name: Any = node.typeName
            return (name, strength) if strength > _WEAK else (names_of(type_name.names)[-1], _WEAK)
        case ast.CaseExpr():
            found = _figure(node.defresult)
            return found if found[1] > _WEAK else ("case", _WEAK)
        case ast.SubLink():
            return _of_sub_select(node)
        case ast.SQLValueFunction():
            return "?column?" if node.op is None else _VALUE_FUNCTIONS.get(node.op, "?column?"), _STRONG
        case ast.A_Expr(kind=enums.A_Expr_Kind.AEXPR_NULLIF):
            return "nullif", _STRONG
        case ast.MinMaxExpr():
            return ("greatest" if node.op == enums.MinMaxOp.IS_GREATEST else "least"), _STRONG
        case _:
            name = _CONSTRUCTS.get(type(node), "")
            return name, _STRONG if name else 0


def _of_sub_select(node: Node) -> tuple[str, int]:
    if node.subLinkType == enums.SubLinkType.EXISTS_SUBLINK:
        return "exists", _STRONG
    if node.subLinkType == enums.SubLinkType.ARRAY_SUBLINK:
        return "array", _STRONG
    if node.subLinkType != enums.SubLinkType.EXPR_SUBLINK:
        return "", 0
    query = node.subselect
    while query.op != enums.SetOperation.SETOP_NONE:
        query = query.larg
    if not query.targetList:
        return "column1", _STRONG
    target = query.targetList[0]
    return (target.name, _STRONG) if target.name else _figure(target.val)
