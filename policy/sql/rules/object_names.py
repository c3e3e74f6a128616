"""Names of objects in values: `'orders'::regclass`, `to_regtype('x')`, `has_table_privilege('orders', 'select')`.

PostgreSQL looks such a name up in all of the database, and an oid's name without asking, so that each could tell what
there is of others. Here a name or number stands for an object only if the session may see that object, as in the
catalogs, and is NULL otherwise:

    'orders'::regclass  ->  (SELECT x.oid FROM (SELECT … to_regclass('orders') … AS oid) AS x WHERE …)::regclass

Whether a value is a name or an oid need not be known: it is looked up by what it looks like as text. What cannot be
guarded so (a column of such a type, an array of them) is refused. In a database of the tenant's own only roles and
databases are others'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from policy.errors import AccessDenied, UnsupportedStatement
from policy.model import Isolation
from policy.sql import builtin_functions as builtin
from policy.sql.context import Context
from policy.sql.guard import Pieces
from policy.sql.output_names import column_name
from policy.sql.parse import ast, walk
from policy.sql.plan import quote_identifier
from policy.sql.references import names_of
from policy.sql.rules.arguments import argument_spans
from policy.sql.rules.catalogs import visible_condition
from policy.sql.tokens import CLOSE
from policy.sql.verify import HOLE, client_part

Node = Any


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object. lookup: SQL for the oid that the text `y.n` names; visible: a condition on `x.oid`."""

    lookup: str
    visible: str


_NO_NAMES = "NULL::pg_catalog.oid"
_OWN_ROLE = (
    "x.oid = ANY (ARRAY(SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = CURRENT_USER::pg_catalog.name))"
)
_OWNERS = (
    "x.oid = ANY (ARRAY(SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE @relation(c.oid)))"
    " OR x.oid = ANY (ARRAY(SELECT d.datdba FROM pg_catalog.pg_database AS d"
    " WHERE d.datname = pg_catalog.current_database()))"
)

RELATION: Final = Kind("pg_catalog.to_regclass(y.n)::pg_catalog.oid", "@class(x.oid)")
_SYSTEM: Final = "@system(x.oid)"

BY_TYPE: Final[Mapping[str, Kind]] = {
    "regclass": RELATION,
    "regtype": Kind("pg_catalog.to_regtype(y.n)::pg_catalog.oid", "@type(x.oid)"),
    "regnamespace": Kind("pg_catalog.to_regnamespace(y.n)::pg_catalog.oid", "@namespace(x.oid)"),
    "regrole": Kind("pg_catalog.to_regrole(y.n)::pg_catalog.oid", f"@system(x.oid) OR {_OWN_ROLE} OR {_OWNERS}"),
    "regproc": Kind("pg_catalog.to_regproc(y.n)::pg_catalog.oid", _SYSTEM),
    "regoper": Kind("pg_catalog.to_regoper(y.n)::pg_catalog.oid", _SYSTEM),
    "regcollation": Kind("pg_catalog.to_regcollation(y.n)::pg_catalog.oid", _SYSTEM),
    # before PostgreSQL 16 their names fail for a type that does not exist
    "regprocedure": Kind(_NO_NAMES, _SYSTEM),
    "regoperator": Kind(_NO_NAMES, _SYSTEM),
}
"""Types whose values are names of objects. Text search configurations and dictionaries (regconfig, regdictionary) are
left alone: tenants have none."""

_SCHEMA: Final = Kind(
    "(SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = y.n::pg_catalog.name)", "@namespace(x.oid)"
)
_ROLE: Final = Kind("(SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = y.n::pg_catalog.name)", _OWN_ROLE)
_DATABASE: Final = Kind(
    "(SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = y.n::pg_catalog.name)",
    "EXISTS (SELECT FROM pg_catalog.pg_database AS d"
    " WHERE d.oid = x.oid AND d.datname = pg_catalog.current_database())",
)

PRIVILEGES: Final[Mapping[str, tuple[Kind, int]]] = {
    "has_table_privilege": (RELATION, 2),
    "has_any_column_privilege": (RELATION, 2),
    "has_sequence_privilege": (RELATION, 2),
    "has_column_privilege": (RELATION, 3),
    "has_schema_privilege": (_SCHEMA, 2),
    "has_database_privilege": (_DATABASE, 2),
    "has_type_privilege": (BY_TYPE["regtype"], 2),
    "has_function_privilege": (BY_TYPE["regprocedure"], 2),
    "pg_has_role": (_ROLE, 2),
    "row_security_active": (RELATION, 1),
}
"""What they ask about, and how many arguments there are without the user who may come first."""

BY_NAME: Final[Mapping[str, Kind]] = {
    "to_regclass": RELATION,
    **{f"to_{name}": kind for name, kind in BY_TYPE.items() if kind.lookup != _NO_NAMES},
    "pg_index_has_property": RELATION,
    "pg_index_column_has_property": RELATION,
    "pg_relation_is_publishable": RELATION,
    "pg_partition_ancestors": RELATION,
    "pg_get_replica_identity_index": RELATION,
    "pg_basetype": BY_TYPE["regtype"],
    "pg_table_size": RELATION,
    "pg_relation_size": RELATION,
    "pg_total_relation_size": RELATION,
    "pg_indexes_size": RELATION,
    "pg_get_userbyid": BY_TYPE["regrole"],
    "pg_database_size": _DATABASE,
}
"""Functions whose first argument names an object."""

_SIZES: Final = frozenset({"pg_table_size", "pg_relation_size", "pg_total_relation_size", "pg_indexes_size"})
"""How big a relation is: not known (NULL) where tenants share it."""

_OF_CLUSTER: Final = frozenset(
    {"regrole", "to_regrole", "pg_get_userbyid", "pg_has_role", "has_database_privilege", "pg_database_size"}
)
"""Types and functions about roles and databases, which a server has for all: a tenant's own database hides others'."""

BY_SECOND_NAME: Final[Mapping[str, Kind]] = {
    "pg_input_is_valid": BY_TYPE["regtype"],
    "pg_input_error_info": BY_TYPE["regtype"],
}
"""Functions whose second argument is a type's name."""

_NEITHER: Final = frozenset({("aclitem",)})
"""Types that name roles within a longer text, which cannot be guarded."""

GUARDED: Final = frozenset(BY_NAME) | frozenset(PRIVILEGES) | frozenset(BY_SECOND_NAME)
"""Functions that may be called with any argument, since it is guarded here."""


def guard_object_names(context: Context) -> None:
    """Let values that name objects name the session's only. Runs after `guard_catalog_functions`, which encloses it."""
    casts: list[tuple[int, int, Node, Kind]] = []
    handled: set[int] = set()
    around: dict[int, Node] = {}  # by a cast's id the cast that it is the argument of
    for node in context.nodes:
        if isinstance(node, ast.TypeCast) and isinstance(node.arg, ast.TypeCast):
            around[id(node.arg)] = node
        if isinstance(node, ast.FuncCall) and node.args:
            _guard_call(node, context)
            if names_of(node.funcname)[-1] in builtin.SEQUENCES:  # checked as such (policy/sql/functions.py)
                handled.update(id(a.typeName) for a in node.args if isinstance(a, ast.TypeCast))
    for node in context.nodes:
        if isinstance(node, ast.TypeCast) and id(node.typeName) not in handled:
            type_name: Node = node.typeName
            kind = _kind_of(type_name, context)
            if kind is not None and not type_name.arrayBounds:
                handled.add(id(type_name))
                casts.append((*_span_of_argument(node, context), node, kind))
    for node in context.nodes:
        unguarded = isinstance(node, ast.TypeName) and id(node) not in handled
        if unguarded and (_kind_of(node, context) is not None or names_of(node.names)[-1:] in _NEITHER):
            raise UnsupportedStatement(
                f"the type {names_of(node.names)[-1]} cannot be used here",
                hint="Use oid or text, or cast a single value, as in 'orders'::regclass.",
                position=max(node.location or 0, context.statement.start) + 1,
            )
    for start, end, node, kind in sorted(casts, key=lambda cast: (cast[0], -cast[1])):  # the outer one first
        outermost = node
        while id(outermost) in around:
            outermost = around[id(outermost)]
        _guard(node.arg, (start, end), kind, "", context, name=column_name(outermost))


def _is_hidden(name: str, context: Context) -> bool:
    """Whether the database may hold others' objects of this kind."""
    return name in _OF_CLUSTER or context.access.isolation is not Isolation.DATABASE


def _kind_of(type_name: Node, context: Context) -> Kind | None:
    *schema, name = names_of(type_name.names) or ("",)
    return BY_TYPE.get(name) if schema in ([], ["pg_catalog"]) and _is_hidden(name, context) else None


def _guard_call(node: Node, context: Context) -> None:
    *schema, name = names_of(node.funcname)
    if schema not in ([], ["pg_catalog"]) or not _is_hidden(name, context):
        return
    spans = argument_spans(node, context.tokens) if name in GUARDED else []
    if name in BY_NAME:
        kind = BY_NAME[name]
        of_database = name == "pg_database_size" and context.access.isolation is not Isolation.DATABASE
        if of_database or (name in _SIZES and context.shared):
            kind = Kind(kind.lookup, "false")
        as_text = f"::pg_catalog.{name.removeprefix('to_')}::pg_catalog.text" if name.startswith("to_") else ""
        _guard(node.args[0], spans[0], kind, as_text, context)
    elif name in BY_SECOND_NAME and len(node.args) > 1:
        _guard(node.args[1], spans[1], BY_SECOND_NAME[name], "::pg_catalog.regtype::pg_catalog.text", context)
    elif name in PRIVILEGES:
        kind, arguments = PRIVILEGES[name]
        if len(node.args) not in (arguments, arguments + 1):
            raise AccessDenied(f"function {name} is not allowed with these arguments", position=node.location + 1)
        if len(node.args) > arguments:
            _guard(node.args[0], spans[0], _ROLE, "", context)
        at = len(node.args) - arguments
        _guard(node.args[at], spans[at], kind, "", context)


def _guard(
    argument: Node, span: tuple[int, int], kind: Kind, cast: str, context: Context, *, name: str = "oid"
) -> None:
    """name: of the column, which a client that does not give one sees."""
    before: Pieces = (
        "(SELECT x.oid AS ",
        quote_identifier(name),
        " FROM (SELECT CASE WHEN y.n OPERATOR(pg_catalog.~) '^[0-9]{1,10}$' THEN y.n::pg_catalog.oid ELSE ",
        *visible_condition(kind.lookup, context.access, context.catalog),
        " END AS oid FROM (SELECT (",
    )
    visible = visible_condition(kind.visible, context.access, context.catalog)
    after: Pieces = (")::pg_catalog.text AS n OFFSET 0) AS y OFFSET 0) AS x WHERE ", *visible, f"){cast}")
    context.wrap(*span, before, after)
    context.expect(argument, lambda found: client_part(found, (*before, HOLE, *after)))


# -- where the argument of a cast stands --------------------------------------------------------------------------


def _span_of_argument(cast: Node, context: Context) -> tuple[int, int]:
    """Of `argument::type` and CAST(argument AS type), in which trees have the place of `::` or CAST only."""
    tokens = context.tokens
    place = context.statement.start if cast.location is None else cast.location  # `regclass 'orders'` has none
    at = tokens.index_at(place)
    if tokens.name(at) == "TYPECAST":
        return _start_before(at, cast.arg, context), tokens.end_before(at)
    if tokens.name(at) == "CAST" and tokens.name(at + 1) == "ASCII_40":
        return tokens.items[at + 2].start, tokens.end_before(tokens.find_past_case({"AS"}, at + 2))
    raise UnsupportedStatement("a cast is not understood", hint="Write it as 'orders'::regclass.", position=place + 1)


def _start_before(operator: int, argument: Node, context: Context) -> int:
    """Where the argument before `::` begins: its brackets or its first node, whichever comes first."""
    tokens = context.tokens
    first = operator - 1
    while True:
        first = tokens.opening(first) if tokens.name(first) in CLOSE else first
        if tokens.name(first) == "ASCII_91":  # a subscript of what stands before it
            first -= 1
        elif tokens.name(first - 1) == "ASCII_46":
            first -= 2
        else:
            break
    places = [tokens.items[first].start, *_places(argument, context)]
    return min(place for place in places if place >= context.statement.start)


def _places(argument: Node, context: Context) -> Iterator[int]:
    """Places of what an argument is made of. Constants have none: that of `'x'::text` is found before its `::`."""
    for node in walk(argument):
        location = getattr(node, "location", None)
        if location is None or location < 0:
            continue
        at = context.tokens.index_at(location)
        if isinstance(node, ast.TypeCast) and context.tokens.name(at) == "TYPECAST":
            yield _start_before(at, node.arg, context)
        elif not isinstance(node, ast.TypeName):
            yield location
