"""Functions that describe an object by its oid: `pg_get_indexdef(oid)`, `obj_description(oid, …)` and their like.

An oid is easily guessed, and the functions ask for no permission: counting oids up would list every tenant's tables,
keys and comments. So the oid is replaced by a sub-select that gives it back when the object may be seen
and NULL otherwise, and then the function gives NULL, too (they are strict), as it does for an oid that is not there:

    pg_get_indexdef(i.oid)  ->  pg_get_indexdef((SELECT x.oid FROM (SELECT (i.oid)::oid AS oid OFFSET 0) AS x WHERE …))

Conditions are written in the language of `catalog_tables.py`. Which functions may be called at all, is decided in
`policy/sql/functions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from policy.access import Access
from policy.model import Isolation
from policy.sql import builtin_functions as builtin
from policy.sql.context import Context
from policy.sql.parse import ast, text_constant
from policy.sql.references import names_of
from policy.sql.rules.arguments import argument_spans
from policy.sql.rules.catalog_tables import NOTHING
from policy.sql.rules.catalogs import visible_condition
from policy.sql.rules.settings import is_own_setting
from policy.sql.rules.settings_function import SETTINGS_FUNCTION, guard_settings_function
from policy.sql.verify import HOLE, client_part

Node = Any

_OF_CONSTRAINT = (
    "x.oid = ANY (ARRAY(SELECT k.oid FROM pg_catalog.pg_constraint AS k"
    " WHERE CASE WHEN k.conrelid <> '0'o THEN @class(k.conrelid) ELSE @type(k.contypid) END))"
)
_OF_TRIGGER = "x.oid = ANY (ARRAY(SELECT g.oid FROM pg_catalog.pg_trigger AS g WHERE @relation(g.tgrelid)))"
_OF_STATISTICS = "x.oid = ANY (ARRAY(SELECT s.oid FROM pg_catalog.pg_statistic_ext AS s WHERE @relation(s.stxrelid)))"
_OF_DATABASE = (
    "x.oid = ANY (ARRAY(SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()"
    " UNION ALL SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = CURRENT_USER::pg_catalog.name))"
)
_ANY = f"@class(x.oid) OR @type(x.oid) OR @namespace(x.oid) OR {_OF_CONSTRAINT}"
_READABLE = "pg_catalog.lower(x.oid) = ANY ('{" + ",".join(sorted(builtin.READABLE_SETTINGS)) + "}'::pg_catalog.text[])"


@dataclass(frozen=True, slots=True)
class _Guard:
    """Argument number `at` is of type `of` and given back when `condition` holds for it as `x.oid`."""

    condition: str
    of: str = "oid"
    at: int = 0


_GUARDS: Final[Mapping[str, _Guard]] = {
    "pg_get_indexdef": _Guard("@class(x.oid)"),
    "pg_get_partkeydef": _Guard("@class(x.oid)"),
    "pg_get_viewdef": _Guard("@definition(x.oid)"),
    "pg_get_ruledef": _Guard(NOTHING),
    "pg_get_expr": _Guard("@class(x.oid)", at=1),
    "col_description": _Guard("@class(x.oid)"),
    "obj_description": _Guard(_ANY),
    "format_type": _Guard("@type(x.oid)"),
    "pg_get_constraintdef": _Guard(_OF_CONSTRAINT),
    "pg_get_triggerdef": _Guard(_OF_TRIGGER),
    "pg_get_statisticsobjdef": _Guard(_OF_STATISTICS),
    "pg_get_statisticsobjdef_columns": _Guard(_OF_STATISTICS),
    "pg_get_statisticsobjdef_expressions": _Guard(_OF_STATISTICS),
    "pg_get_function_arguments": _Guard("@system(x.oid)"),
    "pg_get_function_identity_arguments": _Guard("@system(x.oid)"),
    "pg_get_function_result": _Guard("@system(x.oid)"),
    "pg_get_function_arg_default": _Guard("@system(x.oid)"),
    "pg_get_functiondef": _Guard("@system(x.oid)"),
    "pg_get_function_sqlbody": _Guard("@system(x.oid)"),
    "pg_table_is_visible": _Guard("@class(x.oid)"),
    "pg_type_is_visible": _Guard("@type(x.oid)"),
    "pg_statistics_obj_is_visible": _Guard(_OF_STATISTICS),
    **dict.fromkeys(
        (
            "pg_collation_is_visible", "pg_conversion_is_visible", "pg_function_is_visible", "pg_opclass_is_visible",
            "pg_operator_is_visible", "pg_opfamily_is_visible", "pg_ts_config_is_visible", "pg_ts_dict_is_visible",
            "pg_ts_parser_is_visible", "pg_ts_template_is_visible",
        ),
        _Guard("@system(x.oid)"),
    ),
    "pg_describe_object": _Guard(NOTHING, at=1),
    "pg_partition_tree": _Guard(NOTHING, of="regclass"),
    "pg_get_serial_sequence": _Guard(
        "pg_catalog.to_regclass(x.oid) = ANY (ARRAY(SELECT c.oid FROM pg_catalog.pg_class AS c"
        " WHERE @relation(c.oid)))",
        of="text",
    ),
}  # fmt: skip
"""Functions about objects of a database."""

_CLUSTER_GUARDS: Final[Mapping[str, _Guard]] = {
    "shobj_description": _Guard(_OF_DATABASE),
    "pg_tablespace_location": _Guard(NOTHING),
    "pg_tablespace_size": _Guard(NOTHING),
    "pg_stat_get_numscans": _Guard(NOTHING),
    "current_setting": _Guard(_READABLE, of="text"),
}
"""Functions about what all databases of a server share, and statistics: guarded in a tenant's own database, too."""

GUARDED_EVERYWHERE: Final = frozenset(_CLUSTER_GUARDS) | {SETTINGS_FUNCTION}
GUARDED: Final = frozenset(_GUARDS) | frozenset(_CLUSTER_GUARDS)
"""Functions whose argument is guarded here, so that they may be called with any argument."""


def guard_catalog_functions(context: Context) -> None:
    """Let functions that describe objects see the session's only.

    Runs after `guard_sources`, whose edits of an argument it encloses.
    """
    guard_settings_function(context)
    guards = _CLUSTER_GUARDS if context.access.isolation is Isolation.DATABASE else {**_GUARDS, **_CLUSTER_GUARDS}
    for node in context.nodes:
        if not isinstance(node, ast.FuncCall) or not node.args or _schema(node) not in ("", "pg_catalog"):
            continue
        name = names_of(node.funcname)[-1]
        guard = guards.get(name)
        if guard is None or guard.at >= len(node.args):
            continue
        setting = text_constant(node.args[0]) if name == "current_setting" else None
        if setting is None or not is_readable_setting(setting, context.access):
            _guard_argument(node, guard, context)


def is_readable_setting(name: str, access: Access) -> bool:
    """Whether current_setting may tell it: what all may see, and in a database of its own what who is alone may SET."""
    alone = access.code and access.isolation is Isolation.DATABASE
    return name.lower() in builtin.READABLE_SETTINGS or (alone and is_own_setting(name.lower(), access))


def _schema(node: Node) -> str:
    names = names_of(node.funcname)
    return names[-2] if len(names) > 1 else ""


def _guard_argument(node: Node, guard: _Guard, context: Context) -> None:
    visible = visible_condition(guard.condition, context.access, context.catalog)
    before = ("(SELECT x.oid FROM (SELECT (",)
    after = (f")::pg_catalog.{guard.of} AS oid OFFSET 0) AS x WHERE ", *visible, ")")
    context.wrap(*argument_spans(node, context.tokens)[guard.at], before, after)
    context.expect(node.args[guard.at], lambda found: client_part(found, (*before, HOLE, *after)))
