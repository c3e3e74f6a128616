"""Which statements could make PostgreSQL apply a cast that a database's owner wrote.

A cast is applied where a value of its source type can occur and the statement asks for the target: by naming it, by
storing into such a column, or, for an implicit cast, by nothing at all.

Source: PostgreSQL documentation, CREATE CAST and 10.1; json.c and jsonb.c (to_json and its family apply casts to json).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from policy.errors import AccessDenied
from policy.sql import parse
from policy.sql.catalog import Catalog, Relation, UserCast
from policy.sql.parse import Node, walk
from policy.sql.references import names_of
from policy.sql.user_code import UserCode, user_code_of

ast: Any = parse.ast

_WRITES = (ast.InsertStmt, ast.UpdateStmt, ast.MergeStmt)
_BY_ANY_JSON_FUNCTION = frozenset({"json", "jsonb"})


@dataclass(frozen=True, slots=True)
class Mention:
    """Types of which a part of the statement may bring values: a type's name, or a relation with its columns."""

    what: str
    types: frozenset[str]
    location: int


def mentions(statement: Node, catalog: Catalog) -> Iterator[Mention]:
    """All mentions of types and relations, at every depth."""
    for node in walk(statement):
        if isinstance(node, ast.TypeName) and node.names:
            name = names_of(node.names)[-1]
            yield Mention(f"type {name}", frozenset({name}), node.location)
        elif isinstance(node, ast.RangeVar):
            names = {node.relname}
            for relation in relations_called(node, catalog):
                names.update(_bare_type(column.type_name) for column in relation.all_columns)
            yield Mention(f"relation {node.relname}", frozenset(names), node.location)


def relations_called(node: Node, catalog: Catalog) -> list[Relation]:
    """The relations that a RangeVar may mean; of all schemas when it names none."""
    if node.schemaname:
        relation = catalog.relations.get((node.schemaname, node.relname))
        return [] if relation is None else [relation]
    return [relation for (_, name), relation in catalog.relations.items() if name == node.relname]


def check_casts(statement: Node, catalog: Catalog) -> None:
    """Refuse (42501) a statement for which PostgreSQL could apply a cast that nobody has reviewed."""
    code = user_code_of(catalog)
    found = [Mention(m.what, code.types_within(m.types), m.location) for m in mentions(statement, catalog)]
    types = frozenset(name for mention in found for name in mention.types)
    asked = _asked_for(statement, code)
    writes = any(isinstance(node, _WRITES) for node in walk(statement))
    for cast in code.casts:
        if _may_apply(cast, types, asked, writes):
            _refuse(cast, found)


def _may_apply(cast: UserCast, types: frozenset[str], asked: frozenset[str], writes: bool) -> bool:
    """types: user types that occur. asked: names that an explicit cast may stand behind."""
    if cast.from_user_type and cast.source not in types:
        return False
    if cast.target in asked or cast.target in _BY_ANY_JSON_FUNCTION:
        return True
    if cast.to_user_type and not cast.from_user_type and cast.target not in types:
        return False
    return cast.context == "implicit" or (cast.context == "assignment" and writes)


def _asked_for(statement: Node, code: UserCode) -> frozenset[str]:
    """Names of types in casts, and all names that could mean one: `int4(x)`, `(x).int4` and `x.int4` are casts, too."""
    names: set[str] = set()
    for node in walk(statement):
        if isinstance(node, ast.TypeName):
            names.update(names_of(node.names)[-1:])
        elif isinstance(node, ast.FuncCall):
            names.update(names_of(node.funcname)[-1:])
        elif isinstance(node, ast.ColumnRef) and len(node.fields) > 1:
            names.update(names_of(node.fields)[-1:])
        elif isinstance(node, ast.A_Indirection):
            names.update(names_of(node.indirection))
    return code.types_within(names)


def _refuse(cast: UserCast, found: list[Mention]) -> None:
    own = [name for name, user in ((cast.source, cast.from_user_type), (cast.target, cast.to_user_type)) if user]
    mention = next((m for name in own for m in found if name in m.types), None)
    location = 0 if mention is None or mention.location is None else max(mention.location, 0)
    raise AccessDenied(
        "the statement is not allowed" if mention is None else f"{mention.what} is not allowed here",
        hint=f"The cast from {cast.source} to {cast.target} is user-defined and runs code that the gateway cannot see;"
        " ask your administrator.",
        position=location + 1,
    )


def _bare_type(name: str) -> str:
    """`public."Order ref"` -> `Order ref`: format_type() qualifies what is not on the search path."""
    last = name.removesuffix("[]").rsplit(".", 1)[-1]
    return last[1:-1].replace('""', '"') if last.startswith('"') else last
