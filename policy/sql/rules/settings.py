"""The session's own settings: SET, RESET, and set_config in a query.

They are an allow-list: what a client may change must neither change how its text is read (standard_conforming_strings;
client_encoding only in a database of its own), nor what names mean (search_path), nor who it is, nor take memory from
others. A setting's value is read, so these statements hold for their exact text. What changes is told in
`Context.settings`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from policy.access import Access
from policy.errors import AccessDenied, StatementRefused, UnsupportedStatement
from policy.model import Isolation
from policy.sql.context import Context
from policy.sql.parse import ast, enums, fields_of, text_constant
from policy.sql.plan import AFTER_PATH, SettingChange, StatementKind, quote_identifier, quote_literal
from policy.sql.references import names_of
from policy.sql.resolve import DEFAULT_SCHEMA
from policy.sql.rules.arguments import argument_spans
from policy.sql.verify import failed

Node = Any
# What a setting may be set to: None is anything; else lower-case words.
Values = frozenset[str] | None

_SWITCH = frozenset({"on", "off", "true", "false", "yes", "no", "1", "0"})
_ON = frozenset({"on", "true", "yes", "1"})
_UTF8 = frozenset({"utf8", "utf-8", "unicode", "sql_ascii"})
_TEXT_SEARCH = frozenset(
    prefix + language
    for prefix in ("", "pg_catalog.")
    for language in (
        "simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french",
        "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian",
        "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
    )
)  # fmt: skip

SETTINGS: dict[str, Values] = {
    "application_name": None,
    "bytea_output": None,
    "client_encoding": _UTF8,
    "client_min_messages": frozenset({"notice", "warning", "error", "info", "log"}),
    "datestyle": None,
    "default_text_search_config": _TEXT_SEARCH,
    "default_transaction_deferrable": _SWITCH,
    "default_transaction_isolation": None,
    "default_transaction_read_only": _SWITCH,
    "escape_string_warning": _SWITCH,
    "extra_float_digits": None,
    "geqo": _SWITCH,
    "hnsw.ef_search": None,
    "hnsw.iterative_scan": None,
    "hnsw.max_scan_tuples": None,
    "idle_in_transaction_session_timeout": None,
    "intervalstyle": None,
    "ivfflat.iterative_scan": None,
    "ivfflat.max_probes": None,
    "ivfflat.probes": None,
    "jit": _SWITCH,
    "lc_monetary": None,
    "lc_numeric": None,
    "lc_time": None,
    "lock_timeout": None,
    "pg_trgm.similarity_threshold": None,
    "pg_trgm.strict_word_similarity_threshold": None,
    "pg_trgm.word_similarity_threshold": None,
    "plan_cache_mode": None,
    "row_security": _ON,
    "standard_conforming_strings": _ON,
    "statement_timeout": None,
    "synchronous_commit": None,
    "tenantgate.approval": None,
    "timezone": None,
    "transaction_deferrable": _SWITCH,
    "transaction_isolation": None,
    "transaction_read_only": _SWITCH,
    "transaction_timeout": None,
    "xmlbinary": None,
    "xmloption": None,
}
# How queries are planned and run: they change no result, and take nothing from others but this session's own time. In a
# database of the tenant's own only: in shared tables a plan could tell of the rows of others.
PLANNING: dict[str, Values] = dict.fromkeys(
    (
        "constraint_exclusion", "cpu_index_tuple_cost", "cpu_operator_cost", "cpu_tuple_cost",
        "cursor_tuple_fraction", "default_statistics_target", "effective_cache_size", "enable_async_append",
        "enable_bitmapscan", "enable_distinct_reordering", "enable_gathermerge", "enable_group_by_reordering",
        "enable_hashagg", "enable_hashjoin", "enable_incremental_sort", "enable_indexonlyscan", "enable_indexscan",
        "enable_material", "enable_memoize", "enable_mergejoin", "enable_nestloop", "enable_parallel_append",
        "enable_parallel_hash", "enable_partition_pruning", "enable_partitionwise_aggregate",
        "enable_partitionwise_join", "enable_presorted_aggregate", "enable_self_join_elimination", "enable_seqscan",
        "enable_sort", "enable_tidscan", "from_collapse_limit", "geqo_effort", "geqo_generations", "geqo_pool_size",
        "geqo_seed", "geqo_selection_bias", "geqo_threshold", "jit_above_cost", "jit_inline_above_cost",
        "jit_optimize_above_cost", "join_collapse_limit", "min_parallel_index_scan_size",
        "min_parallel_table_scan_size", "parallel_leader_participation", "parallel_setup_cost", "parallel_tuple_cost",
        "random_page_cost", "recursive_worktable_factor", "seq_page_cost",
    )
)  # fmt: skip
# For who may store code on a target of its own, which could set these anyway: memory, processes, how code is checked.
OF_OWN_CODE: dict[str, Values] = dict.fromkeys(
    (
        "array_nulls", "check_function_bodies", "debug_parallel_query", "default_toast_compression",
        "effective_io_concurrency", "force_parallel_mode", "gin_fuzzy_search_limit", "gin_pending_list_limit",
        "hash_mem_multiplier", "maintenance_work_mem", "max_parallel_maintenance_workers", "max_parallel_workers",
        "max_parallel_workers_per_gather", "quote_all_identifiers", "restrict_nonsystem_relation_kind",
        "synchronize_seqscans", "temp_buffers", "timezone_abbreviations", "transform_null_equals", "vacuum_cost_delay",
        "vacuum_cost_limit", "vacuum_cost_page_dirty", "vacuum_cost_page_hit", "vacuum_cost_page_miss",
        "vacuum_freeze_min_age", "vacuum_freeze_table_age", "vacuum_multixact_freeze_min_age",
        "vacuum_multixact_freeze_table_age", "work_mem",
    )
)  # fmt: skip
_CUSTOM = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)+")  # of extensions, and of nobody: `SET app.user = 7`
_GATEWAYS_OWN = "tenantgate."
OF_TRANSACTION = frozenset({"transaction_deferrable", "transaction_isolation", "transaction_read_only"})
_IDENTITY = frozenset({"role", "session_authorization"})
_HINTS = {
    **dict.fromkeys(_IDENTITY, "The session's identity was settled at login; connect as another user instead."),
    "search_path": "The gateway sets it; qualify names, or leave it at {path}.",
    "client_encoding": "Use UTF8.",
    "standard_conforming_strings": "The gateway reads strings as with on; use E'…' for escapes.",
}
_HINT = "Only settings of the session's own formats and time-outs can be changed, such as TimeZone or DateStyle."

_Kind = enums.VariableSetKind


def own_path(context: Context) -> str:
    """The one schema on the session's search_path."""
    return context.schema if context.access.isolation is Isolation.SCHEMA else "public"


def _keeps_path(name: str, context: Context) -> bool:
    """Whether a SET of the path, to what it is, must not take away what the gateway has put behind it."""
    return name == "search_path" and context.access.isolation is not Isolation.DATABASE


def is_own_setting(name: str, access: Access) -> bool:
    """Whether a session with this access may change a setting, as far as its name tells."""
    if name in SETTINGS:
        return True
    if access.isolation is not Isolation.DATABASE:
        return False
    of_code = name in OF_OWN_CODE or (_CUSTOM.fullmatch(name) and not name.startswith(_GATEWAYS_OWN))
    return name in PLANNING or (access.code and bool(of_code))


def check_setting(name: str, values: list[str | None], position: int, context: Context) -> None:
    """Refuse a setting, or a value of it, that is not allowed. A value of None is a parameter: known to nobody yet."""
    if name == "search_path":
        if values and all(v == own_path(context) for v in values):
            return
        if context.has_own_code:
            context.pins = "search_path"
            return
        raise _refused(name, position, context)
    if not is_own_setting(name, context.access):
        raise _refused(name, position, context)
    if name == "row_security" and context.has_own_code:  # row policies are the tenant's own there
        return
    if name == "client_min_messages" and context.has_own_code:  # debug1 …: notices of its own statements' running
        return
    if name == "client_encoding" and context.access.isolation is Isolation.DATABASE:
        return  # the gateway reads what comes as it says; what it cannot read it refuses
    allowed = SETTINGS.get(name)
    if allowed is not None and not all(v is not None and v.strip().lower() in allowed for v in values):
        raise _refused(name, position, context)


def _refused(name: str, position: int, context: Context) -> StatementRefused:
    hint = _HINTS.get(name, _HINT).format(path=own_path(context))
    return AccessDenied(f'permission denied to set parameter "{name}"', hint=hint, position=position)


def _record(name: str, value: str | None, *, local: bool, context: Context) -> None:
    """Tell what changes; the identity stays what it is, and a transaction's modes end with it. A path is its backend's,
    but for the one that the session began with."""
    if name not in _IDENTITY and (name != "search_path" or (value is None and not _keeps_path(name, context))):
        known = name in SETTINGS or "." not in name
        shown = name if known else ".".join(quote_identifier(part) for part in name.split("."))
        context.settings.append(SettingChange(shown, value, local or name in OF_TRANSACTION))


# -- set_config in a query ------------------------------------------------------------------------------------------


def answered_calls(context: Context) -> Collection[int]:
    """Locations of the set_config calls of a statement, each checked here; raises when one is not allowed."""
    calls = [node for node in context.nodes if _is_set_config(node)]
    certain = _always_called(context.statement.node)
    for call in sorted(calls, key=lambda call: int(call.location)):
        context.pin()
        context.kind = StatementKind.SESSION
        _set_config(call, id(call) in certain, context)
    names = {change.name for change in context.settings}
    if len(names) < len(calls):
        context.settings.clear()
        context.pins = context.pins or "setting"
    return {int(call.location) for call in calls}


def _always_called(statement: Node) -> frozenset[int]:
    """The calls, by id(), that run once whatever the data: of a SELECT that does nothing but list them.

    A change that is told and does not happen would be taken for the state of a backend that others use next.
    """
    if not isinstance(statement, ast.SelectStmt) or statement.op != enums.SetOperation.SETOP_NONE:
        return frozenset()
    given = {name for name in fields_of(ast.SelectStmt) if getattr(statement, name)}
    if given - {"targetList", "limitOption", "op"}:
        return frozenset()
    return frozenset(id(_bare(target.val)) for target in statement.targetList or ())


def _is_set_config(node: Node) -> bool:
    names = names_of(node.funcname) if isinstance(node, ast.FuncCall) else ()
    return names in (("set_config",), ("pg_catalog", "set_config"))


def _set_config(call: Node, certain: bool, context: Context) -> None:
    """Check a call, and tell what it changes when that is certain."""
    position = call.location + 1
    arguments: tuple[Node, ...] = call.args or ()
    name = text_constant(arguments[0]) if len(arguments) == 3 else None
    if name is None and context.access.code:
        return  # as a DO could
    if name is None or any(isinstance(a, ast.NamedArgExpr) for a in arguments):
        raise AccessDenied(
            "set_config needs the setting's name as a constant",
            hint="Write set_config('TimeZone', 'UTC', false).",
            position=position,
        )
    value = text_constant(arguments[1])
    if value is None and not isinstance(_bare(arguments[1]), ast.ParamRef):
        raise AccessDenied(
            "set_config needs the setting's value as a constant or a parameter",
            hint="Write set_config('TimeZone', 'UTC', false).",
            position=position,
        )
    check_setting(name.lower(), [value], position, context)
    if _keeps_path(name.lower(), context):
        _put_path(call, context)
    local = _boolean(arguments[2])
    if certain and local is not None and value is not None:
        _record(name.lower(), quote_literal(value), local=local, context=context)


def _bare(node: Node) -> Node:
    while isinstance(node, ast.TypeCast):
        node = node.arg
    return node


def _boolean(node: Node) -> bool | None:
    """The value of `true`, `false` or of a text for one; None for anything else."""
    value = getattr(_bare(node), "val", None)
    if isinstance(value, ast.Boolean):
        return bool(value.boolval)
    return {"t": True, "true": True, "f": False, "false": False}.get(str(getattr(value, "sval", "")).lower())


# -- SET and RESET ----------------------------------------------------------------------------------------------------


def set_variable(node: Node, context: Context) -> None:
    context.pin()
    position = context.statement.start + 1
    if node.kind in (_Kind.VAR_RESET, _Kind.VAR_RESET_ALL):
        context.command = "RESET"
    name = (node.name or "").lower()
    match node.kind:
        case _Kind.VAR_RESET_ALL:
            context.settings.append(SettingChange("", None))
        case _Kind.VAR_SET_MULTI:
            _set_modes(node, position, context)
        case _Kind.VAR_SET_DEFAULT | _Kind.VAR_RESET:
            _check_default(name, position, context)
            _record(name, None, local=node.is_local, context=context)
        case _Kind.VAR_SET_VALUE:
            check_setting(name, [_setting_value(a) for a in node.args], position, context)
            if _keeps_path(name, context):
                _set_path_to_default(node, context)
            _set_value(name, node, context)
        case _:
            raise _refused(name, position, context)


def _set_modes(node: Node, position: int, context: Context) -> None:
    """SET TRANSACTION and SET SESSION CHARACTERISTICS AS TRANSACTION."""
    if node.name == "TRANSACTION SNAPSHOT":
        raise UnsupportedStatement("snapshots cannot be imported", hint="Use one session.", position=position)
    if node.name != "SESSION CHARACTERISTICS":
        return
    for mode in node.args:  # transaction_isolation, transaction_read_only, transaction_deferrable
        value = _setting_sql(mode.arg)
        if value is not None:
            _record(f"default_{mode.defname}", value, local=False, context=context)


def _check_default(name: str, position: int, context: Context) -> None:
    """The default is what the gateway set when it connected, also for the path and the identity."""
    if not is_own_setting(name, context.access) and name != "search_path" and name not in _IDENTITY:
        raise _refused(name, position, context)


def _set_path_to_default(node: Node, context: Context) -> None:
    """The path that the backend began with; `SET SCHEMA 'public'` says the same."""
    tokens = context.tokens
    first = tokens.index_at(context.statement.start) + 1
    first += tokens.name(first) in ("SESSION", "LOCAL")
    context.replace(tokens.items[first].start, context.statement.end, "search_path TO DEFAULT")

    def unwrap(found: Node) -> Node:
        given = found.kind, found.name, bool(found.is_local), found.args
        if given != (_Kind.VAR_SET_DEFAULT, "search_path", bool(node.is_local), None):
            raise failed("search_path")
        return node

    context.expect(node, unwrap)


def _put_path(call: Node, context: Context) -> None:
    """The same in set_config."""
    arguments: tuple[Node, ...] = call.args or ()
    own = own_path(context)
    path = (own if own == DEFAULT_SCHEMA else quote_identifier(own)) + AFTER_PATH
    context.replace(*argument_spans(call, context.tokens)[1], quote_literal(path))

    def unwrap(found: Node) -> Node:
        given: tuple[Node, ...] = (found.args or ()) if isinstance(found, ast.FuncCall) else ()
        if len(given) != len(arguments) or text_constant(given[1]) != path:
            raise failed("search_path")
        found.args = (given[0], arguments[1], *given[2:])
        return found

    context.expect(call, unwrap)


def _set_value(name: str, node: Node, context: Context) -> None:
    values = [_setting_sql(argument) for argument in node.args]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        _record(name, ", ".join(known), local=node.is_local, context=context)
    else:  # SET TIME ZONE INTERVAL '…' HOUR TO MINUTE
        context.pins = "setting"


def _setting_value(node: Node) -> str | None:
    constant = _bare(node)
    value = getattr(constant, "val", None)
    if isinstance(value, ast.String):
        return str(value.sval)
    if isinstance(value, ast.Integer):
        return str(value.ival)
    if isinstance(value, ast.Float):
        return str(value.fval)
    return None


def _setting_sql(node: Node) -> str | None:
    """The value as SET takes it; None for an interval."""
    if not isinstance(node, ast.A_Const):
        return None
    value = _setting_value(node)
    return quote_literal(value) if value is not None and isinstance(node.val, ast.String) else value


RULES: dict[type, Callable[[Any, Context], None]] = {ast.VariableSetStmt: set_variable}
