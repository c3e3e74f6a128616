"""Channels and advisory locks: what a client names is rewritten to a name or key of its tenant (namespaces.py).

LISTEN, NOTIFY and UNLISTEN get the tenant's channel written out; the functions that take a channel or a key, which may
be any expression, get it computed on the target. In a database of the tenant's own all stands as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import UnsupportedStatement
from policy.model import Isolation
from policy.sql import builtin_functions as builtin
from policy.sql.context import Context
from policy.sql.namespaces import LONGEST_KEPT, MAX_NAME_BYTES, NAMESPACE_CHARACTERS
from policy.sql.parse import ast
from policy.sql.plan import Piece, Slot, SlotKind
from policy.sql.references import names_of
from policy.sql.rules.arguments import argument_spans
from policy.sql.verify import failed, in_holes, parse_sample, same_tree

Node = Any
Pieces = tuple[Piece, ...]

_STATEMENTS = (
    ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt, ast.CopyStmt, ast.PrepareStmt,
    ast.DeclareCursorStmt, ast.ExplainStmt,
)  # fmt: skip

_LISTENING = "pg_listening_channels"
_NAMESPACE, _LOCK_KEY = Slot(SlotKind.NAMESPACE), Slot(SlotKind.LOCK_KEY)
_HOLE = '"tenantgate hole %"'

# An empty name stays empty, one of more than 63 bytes grows: PostgreSQL refuses both, as it would have done.
_CHANNEL: tuple[Pieces, Pieces] = (
    (
        "(SELECT CASE WHEN x.c OPERATOR(pg_catalog.=) '' THEN ''"
        f" WHEN pg_catalog.octet_length(x.u) OPERATOR(pg_catalog.>) {LONGEST_KEPT}"
        f" AND pg_catalog.octet_length(x.u) OPERATOR(pg_catalog.<=) {MAX_NAME_BYTES} THEN ",
        _NAMESPACE,
        " OPERATOR(pg_catalog.||) '~' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.encode("
        f"pg_catalog.sha256(x.u), 'hex'), {LONGEST_KEPT}) ELSE ",
        _NAMESPACE,
        " OPERATOR(pg_catalog.||) '_' OPERATOR(pg_catalog.||) x.c END"
        " FROM (SELECT y.c, pg_catalog.convert_to(y.c, 'UTF8') AS u FROM (SELECT (",
    ),
    (")::pg_catalog.text AS c OFFSET 0) AS y) AS x)",),
)
_CHANNELS: Pieces = (
    f"pg_catalog.unnest(ARRAY(SELECT pg_catalog.substr(c.c, {NAMESPACE_CHARACTERS + 2})"  # noqa: S608 - constants
    f" FROM pg_catalog.pg_listening_channels() AS c(c) WHERE pg_catalog.left(c.c, {NAMESPACE_CHARACTERS})"
    " OPERATOR(pg_catalog.=) ",
    _NAMESPACE,
    "))",
)
_KEY_HEAD: Pieces = (
    "('x' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(",
    _LOCK_KEY,
    " OPERATOR(pg_catalog.||) (",
)
_KEY_TAIL = ", 'UTF8')), 'hex'), 16))::pg_catalog.bit(64)::pg_catalog.int8"
_ONE_KEY: tuple[Pieces, ...] = (_KEY_HEAD, (")::pg_catalog.int8::pg_catalog.text" + _KEY_TAIL,))
_PART = ")::pg_catalog.int4::pg_catalog.text"
_TWO_KEYS: tuple[Pieces, ...] = (
    _KEY_HEAD,
    (f"{_PART} OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) (",),
    (_PART + _KEY_TAIL,),
)


def _own_database(context: Context) -> bool:
    return context.access.isolation is Isolation.DATABASE


# -- statements -------------------------------------------------------------------------------------------------------


def listen(node: Node, context: Context) -> None:
    context.pins = "listen"
    context.session_action = ("listen", node.conditionname)
    _put_channel(node, context)


def unlisten(node: Node, context: Context) -> None:
    if node.conditionname is not None:  # None: UNLISTEN *
        _put_channel(node, context)


def _put_channel(node: Node, context: Context) -> None:
    """The name follows the command's word."""
    if _own_database(context):
        return
    name = context.tokens.index_at(context.statement.start) + 1
    start, end = context.tokens.items[name].start, context.tokens.end_before(context.tokens.qualified_name_end(name))
    channel = Slot(SlotKind.CHANNEL, name=node.conditionname)
    context.replace(start, end, channel)
    context.note("channel: the tenant's own")

    def unwrap(found: Node) -> Node:
        sent = parse_sample("LISTEN %", (channel,)).conditionname
        if type(found) is not type(node) or found.conditionname != sent:
            raise failed("channel")
        found.conditionname = node.conditionname
        return found

    context.expect(node, unwrap)


RULES: dict[type, Callable[[Any, Context], None]] = {
    ast.ListenStmt: listen,
    ast.UnlistenStmt: unlisten,
    ast.NotifyStmt: _put_channel,
}


# -- function calls ---------------------------------------------------------------------------------------------------


def keep_per_tenant(context: Context) -> None:
    """Rewrite the calls of functions that take a channel or a key; before the rules that guard their arguments."""
    names: dict[int, tuple[Node, bool]] = {}
    for node in context.nodes:
        if isinstance(node, ast.ResTarget | ast.RangeFunction):
            _note_name(node, names)
    for node in context.nodes:
        name = names_of(node.funcname)[-1] if isinstance(node, ast.FuncCall) else ""
        if name not in builtin.CHANNELS | builtin.ADVISORY_LOCKS:
            continue
        if name in builtin.SESSION_LOCKS:
            context.pins = "advisory lock"
        if _own_database(context):
            continue
        if not isinstance(context.statement.node, _STATEMENTS):
            raise UnsupportedStatement(f"{name} may stand in queries only", position=node.location + 1)
        if name in builtin.ADVISORY_LOCKS:
            _keep_lock(node, context)
        elif name == "pg_notify":
            _keep_arguments(node, _CHANNEL, 1, context)
        else:
            _keep_list(node, names.get(id(node)), context)


def _keep_lock(node: Node, context: Context) -> None:
    """One key or two become one, of 64 bits: a hash with the tenant's own."""
    count = len(node.args or ())
    if count not in (1, 2):
        raise UnsupportedStatement("advisory locks have one key or two", position=node.location + 1)
    _keep_arguments(node, _ONE_KEY if count == 1 else _TWO_KEYS, count, context)
    context.note("advisory lock: the tenant's own")


def _keep_arguments(node: Node, around: tuple[Pieces, ...], count: int, context: Context) -> None:
    """Enclose the first `count` arguments, whose commas the pieces between them replace."""
    spans = argument_spans(node, context.tokens)
    if len(spans) < count:
        raise UnsupportedStatement("write the arguments by position", position=node.location + 1)
    for index, (start, end) in enumerate(spans[:count]):
        context.wrap(start, end, around[0] if index == 0 else (), around[-1] if index == count - 1 else ())
        if index < count - 1:
            context.replace(end, spans[index + 1][0], *around[index + 1])
    sample_pieces: list[Piece] = [*around[0]]
    for index in range(count):
        sample_pieces += [_HOLE.replace("%", str(index)), *around[index + 1]]

    def unwrap(found: Node) -> Node:
        if not isinstance(found, ast.FuncCall) or not found.args:
            raise failed("key of the tenant")
        sample = parse_sample("SELECT %", tuple(sample_pieces)).targetList[0].val
        found.args = (*in_holes(found.args[0], sample), *found.args[1:])
        return found

    context.expect(node, unwrap)


def _note_name(node: Node, names: dict[int, tuple[Node, bool]]) -> None:
    """Remember which node takes its name from a call: by id() of the call, and whether it has no other."""
    if isinstance(node, ast.ResTarget):
        value = node.val
        while isinstance(value, ast.TypeCast | ast.CollateClause):
            value = value.arg
        names[id(value)] = (node, node.name is None)
    elif len(node.functions) == 1:
        names[id(node.functions[0][0])] = (node, node.alias is None)


def _keep_list(node: Node, named: tuple[Node, bool] | None, context: Context) -> None:
    """`pg_listening_channels()` gives the tenant's names for the channels, and keeps its own."""
    tokens = context.tokens
    first = tokens.index_at(node.location)
    closing = tokens.closing(tokens.qualified_name_end(first))
    start, end = tokens.items[first].start, tokens.end_before(closing + 1)
    context.replace(start, end, *_CHANNELS)

    def unwrap(found: Node) -> Node:
        if not same_tree(found, parse_sample("SELECT %", _CHANNELS).targetList[0].val):
            raise failed("list of channels")
        return node

    context.expect(node, unwrap)
    if named is not None and named[1]:
        _keep_column_name(node, named[0], end, context)


def _keep_column_name(call: Node, holder: Node, end: int, context: Context) -> None:
    direct = isinstance(holder, ast.RangeFunction) or holder.val is call
    if not direct or getattr(holder, "ordinality", False) or getattr(holder, "is_rowsfrom", False):
        raise UnsupportedStatement(
            f"{_LISTENING} needs an alias here", hint="Write AS name.", position=call.location + 1
        )
    context.insert(end, f" AS {_LISTENING}")

    def unwrap(found: Node) -> Node:
        if isinstance(found, ast.RangeFunction) and found.alias is not None and not found.alias.colnames:
            name, found.alias = found.alias.aliasname, None
        elif isinstance(found, ast.ResTarget):
            name, found.name = found.name, None
        else:
            name = None
        if name != _LISTENING:
            raise failed("list of channels")
        return found

    context.expect(holder, unwrap)
