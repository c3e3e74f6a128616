"""Virtual catalogs: pg_catalog and information_schema answer for what the tenant may see, and of nobody else.

A reference to a system catalog becomes a guarded sub-select, always with a barrier (OFFSET 0): a condition of the
client's must not meet a row before the guard did. Which rows, is data in `catalog_tables.py`. Relations that a tenant
may read are embedded by oid for shared tables, whose catalog is the plan's; for a schema per tenant they are looked
up by the session's schema name, since one plan serves every tenant. Objects, not values, are guarded here: functions
that take an oid (`pg_get_viewdef`, `pg_table_size`) are `policy/sql/functions.py`'s matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from policy.access import Access, TableAccess
from policy.errors import AccessDenied, StatementRefused, UnsupportedStatement
from policy.model import Isolation, TableClass
from policy.sql.catalog import Catalog, Relation
from policy.sql.context import Context
from policy.sql.plan import Piece, Slot, SlotKind, quote_identifier, quote_literal
from policy.sql.references import Place, Reference, names_of
from policy.sql.rules import catalog_tables as tables
from policy.sql.user_code import user_code_of
from policy.sql.view_definitions import is_made_of_listed

SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
_SHOWN_SCHEMAS = SYSTEM_SCHEMAS | {"pg_toast"}  # of the system; what is in them is guarded object by object
SCHEMA_NAME = Slot(SlotKind.SCHEMA_NAME)

_OPERATOR = re.compile(r" (=|<>|<) ")
_OID = re.compile(r"'(\d+)'o\b")
_MACRO = re.compile(r"@(\w+)\(([^()]*)\)")

_MACROS = {
    "system": "({0} < '16384'o)",
    "definition": "@class({0})",
    "attribute": "true",
    "class": "(@system({0}) OR @relation({0})"
    " OR {0} = ANY (ARRAY(SELECT i.indexrelid FROM pg_catalog.pg_index AS i WHERE @relation(i.indrelid)))"
    " OR {0} = ANY (ARRAY(SELECT s.oid FROM pg_catalog.pg_depend AS p"
    " JOIN pg_catalog.pg_class AS s ON s.oid = p.objid AND s.relkind = 'S'"
    " WHERE p.classid = '1259'o AND p.refclassid = '1259'o AND p.deptype = ANY ('{{a,i}}'::pg_catalog.\"char\"[])"
    " AND @relation(p.refobjid))))",
    "table": "({0}::pg_catalog.name, {1}::pg_catalog.name) = ANY (SELECT n.nspname, c.relname"
    " FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE @class(c.oid))",
    "constraint": "({0}::pg_catalog.name, {1}::pg_catalog.name) = ANY (SELECT n.nspname, k.conname"
    " FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace"
    " WHERE @relation(k.conrelid))",
    "namespace": "({0} = ANY (ARRAY(SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE @schema(n.nspname))))",
    "type": "(@system({0}) OR {0} = ANY (ARRAY(WITH RECURSIVE v(oid) AS ("
    "SELECT t.oid FROM pg_catalog.pg_type AS t WHERE NOT @system(t.oid)"
    " AND (@relation(t.typrelid) OR @own_type(t)"
    " OR t.oid = ANY (ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute AS a WHERE @relation(a.attrelid)))"
    " OR t.oid = ANY (ARRAY(SELECT d.objid FROM pg_catalog.pg_depend AS d"
    " WHERE d.classid = '1247'o AND d.refclassid = '3079'o AND d.deptype = 'e')))"
    " UNION SELECT p.oid FROM v JOIN pg_catalog.pg_type AS t ON t.oid = v.oid CROSS JOIN LATERAL ("
    "SELECT t.typelem UNION ALL SELECT t.typbasetype UNION ALL SELECT t.typarray"
    " UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid"
    " UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid"
    ") AS p(oid) WHERE NOT @system(p.oid)) SELECT v.oid FROM v)))",
    "named_type": "({0}::pg_catalog.name, {1}::pg_catalog.name) = ANY (SELECT n.nspname, t.typname"
    " FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace WHERE @type(t.oid))",
    "own_type": "({0}.typrelid = '0'o AND {0}.typelem = '0'o AND @own_namespace({0}.typnamespace))",
}
_ATTRIBUTE = (
    "EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.oid = {0} AND @column(n.nspname, c.relname, {1}))"
)
_RELATIONS_OF_SCHEMA = (
    "{0} = ANY (ARRAY(SELECT r.oid FROM pg_catalog.pg_class AS r"
    " JOIN pg_catalog.pg_namespace AS o ON o.oid = r.relnamespace"
    " WHERE r.relkind = ANY ('{{r,p,v,m,f,S,c}}'::pg_catalog.\"char\"[]) AND o.nspname = "
)


def guard_catalog(reference: Reference, context: Context) -> tuple[Piece, ...] | None:
    """Return the sub-select, in brackets and without an alias, that stands for a system catalog; None: it is none.

    Raises AccessDenied when the catalog is closed to tenants, or is named for anything but reading.
    """
    if reference.cte is not None or not names_system_catalog(reference, context.catalog):
        return None
    schema = reference.schema or "pg_catalog"
    if reference.place is not Place.FROM or reference.sample is not None:
        raise AccessDenied(
            f"permission denied for relation {reference.name}",
            hint="System catalogs can only be read, and not sampled.",
            position=reference.position,
        )
    try:
        pieces = guard_system_catalog(
            schema, reference.name, context.access, context.catalog, with_tableoid=_asks_tableoid(reference, context)
        )
    except StatementRefused as error:
        error.position = reference.position
        raise
    if reference.name == tables.PREPARED_STATEMENTS and not context.session_action:
        context.session_action = ("show_prepared",)
    context.reach(schema, reference.name)
    context.note(f"{schema}.{reference.name}: only what the tenant may see")
    return pieces


def names_system_catalog(reference: Reference, catalog: Catalog) -> bool:
    """Without a schema the search_path decides, in which pg_catalog comes first."""
    if reference.catalog is not None and reference.catalog != catalog.database:
        return False
    if reference.schema is None:
        return f"pg_catalog.{reference.name}" in catalog.system_columns
    return reference.schema in SYSTEM_SCHEMAS


def _asks_tableoid(reference: Reference, context: Context) -> bool:
    """Whether `name.tableoid` stands anywhere: psql and pg_dump join descriptions by it, and a sub-select lacks it."""
    wanted = (reference.visible_name, "tableoid")
    columns = (column for scope in context.references.scopes for column in scope.columns)
    return any(names_of(column.fields)[-2:] == wanted for column in columns)


def guard_system_catalog(
    schema: str, name: str, access: Access, catalog: Catalog, *, with_tableoid: bool = False
) -> tuple[Piece, ...]:
    """Return what stands for `schema.name` in FROM: a sub-select in parentheses, to be given an alias.

    Raises AccessDenied for catalogs that tell of others or of the server, and for unknown ones.
    """
    condition = _condition(schema, name, access.isolation)
    if condition is None:
        raise AccessDenied(
            f"permission denied for relation {name}",
            detail=f"{schema}.{name} can show other tenants' activity or the server's configuration.",
            hint="Use pg_class, pg_attribute or information_schema, which answer for your own tables.",
        )
    columns = _columns(schema, name, access.isolation, catalog)
    if with_tableoid:
        columns += ", x.tableoid"
    visible = _Visibility(access, catalog)
    head = f"(SELECT {columns} FROM {schema}.{quote_identifier(name)} AS x WHERE "  # noqa: S608 - quoted
    return _merged((head, *visible.expand(condition), " OFFSET 0)"))


def visible_condition(condition: str, access: Access, catalog: Catalog) -> tuple[Piece, ...]:
    """A condition in the language of `catalog_tables`, such as `@class(x.oid)`, as SQL."""
    return _merged(_Visibility(access, catalog).expand(condition))


def visible_relations(access: Access, catalog: Catalog) -> tuple[Relation, ...]:
    """The relations of shared tables that the session may read, with the composite types that their columns have."""
    readable = [relation for relation in catalog.relations.values() if _is_readable(relation, access, catalog)]
    used = _types_of(readable, catalog)
    composites = (r for r in catalog.relations.values() if r.kind == "c" and r.name in used)
    return tuple(sorted((*readable, *composites), key=lambda relation: relation.oid))


def _types_of(relations: Iterable[Relation], catalog: Catalog) -> frozenset[str]:
    """Names of the user types of which the relations' columns are made."""
    names = {kind.oid: kind.name for kind in catalog.types}
    columns = {column.type_oid for relation in relations for column in relation.columns}
    return user_code_of(catalog).types_within(names[oid] for oid in columns if oid in names)


def _is_readable(relation: Relation, access: Access, catalog: Catalog) -> bool:
    rule = access.rules.get((relation.schema, relation.name))
    if rule is None and relation.kind == "v":
        listed = is_made_of_listed(relation, access, catalog, readable=True)
        return listed and access.table(relation.schema, relation.name).read
    if rule is None or rule.table_class is TableClass.DENIED:
        return False
    return access.table(relation.schema, relation.name).read


def _condition(schema: str, name: str, isolation: Isolation) -> str | None:
    known = tables.PG_CATALOG if schema == "pg_catalog" else tables.INFORMATION_SCHEMA
    found = known.get(name)
    if isolation is not Isolation.DATABASE:
        return found
    if schema == "pg_catalog" and name in tables.DATABASE_ONLY:
        return tables.DATABASE_ONLY[name]
    if found is None or (schema == "pg_catalog" and name in tables.CLUSTER_WIDE):
        return found
    return tables.EVERYTHING


def _columns(schema: str, name: str, isolation: Isolation, catalog: Catalog) -> str:
    """Every column in its order, statistics and the like replaced by constants."""
    hidden = tables.HIDDEN_COLUMNS.get(f"{schema}.{name}")
    if isolation is Isolation.SHARED:
        hidden = tables.HIDDEN_IN_SHARED.get(f"{schema}.{name}", hidden)
    if hidden is None or (isolation is Isolation.DATABASE and name not in tables.CLUSTER_WIDE):
        return "x.*"
    columns = catalog.system_columns.get(f"{schema}.{name}")
    if not columns:
        raise UnsupportedStatement(f"the columns of {schema}.{name} are not known")
    quoted = {column: quote_identifier(column) for column in columns}
    return ", ".join(
        f"{_plain(hidden[column])} AS {quoted[column]}" if column in hidden else f"x.{quoted[column]}"
        for column in columns
    )


class _Visibility:
    """Expands conditions for one access and catalog; made for one reference and thrown away."""

    __slots__ = ("_access", "_catalog", "_oids", "_schemas")

    def __init__(self, access: Access, catalog: Catalog) -> None:
        self._access = access
        self._catalog = catalog
        self._oids = ""
        self._schemas = ""
        if access.isolation is Isolation.SHARED:
            relations = visible_relations(access, catalog)
            self._oids = _array((str(relation.oid) for relation in relations), "oid")
            schemas = {relation.schema for relation in relations} | _SHOWN_SCHEMAS
            self._schemas = _array(sorted(schemas), "name")

    def expand(self, condition: str) -> Iterator[Piece]:
        """Yield the pieces of a condition of `catalog_tables`, macros expanded."""
        position = 0
        for match in _MACRO.finditer(condition):
            yield _plain(condition[position : match.start()])
            yield from self._macro(match[1], [argument.strip() for argument in match[2].split(",")])
            position = match.end()
        yield _plain(condition[position:])

    def _macro(self, name: str, arguments: list[str]) -> Iterator[Piece]:
        if self._access.isolation is Isolation.DATABASE and name in ("relation", "schema", "own_namespace"):
            yield "true"
        elif name == "relation":
            yield from self._relation(arguments[0])
        elif name == "schema":
            yield from self._schema(arguments[0])
        elif name == "column":
            yield from self._column(*arguments)
        elif name == "attribute" and any(table.denies_columns for table in self._access.tables.values()):
            yield from self.expand(_ATTRIBUTE.format(*arguments))
        elif name == "own_namespace":
            yield from self._own_namespace(arguments[0])
        elif name == "definition" and self._access.isolation is Isolation.SHARED:
            yield from self._listed(arguments[0])
        else:
            yield from self.expand(_MACROS[name].format(*arguments))

    def _relation(self, column: str) -> Iterator[Piece]:
        if self._access.isolation is Isolation.SHARED:
            yield _plain(f"({column} = ANY (") + self._oids + "))"
            return
        yield "(" + _plain(_RELATIONS_OF_SCHEMA.format(column))
        yield SCHEMA_NAME
        yield " AND " + self._names() + ")))"

    def _column(self, schema: str, table: str, column: str) -> Iterator[Piece]:
        """Not a column that the roles are denied, by the names of what it belongs to."""
        yield "true"
        for (own, name), access in sorted(self._access.tables.items()):
            if access.denies_columns:
                yield f" AND CASE WHEN {table}::pg_catalog.name OPERATOR(pg_catalog.=) {quote_literal(name)}"
                yield f" AND {schema}::pg_catalog.name OPERATOR(pg_catalog.=) "
                yield quote_literal(own) if own else SCHEMA_NAME
                yield f" THEN {column}::pg_catalog.name {_not_denied(access)} ELSE true END"

    def _own_namespace(self, column: str) -> Iterator[Piece]:
        """A schema of one's own: what stands in a shared one may be anybody's."""
        if self._access.isolation is Isolation.SHARED:
            yield "false"
            return
        yield _plain(f"({column} = ANY (ARRAY(")
        yield _plain("SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = ")
        yield SCHEMA_NAME
        yield ")))"

    def _listed(self, column: str) -> Iterator[Piece]:
        """One of the server, or one that the session may see and the policy lists."""
        seen = visible_relations(self._access, self._catalog)
        listed = (str(relation.oid) for relation in seen if (relation.schema, relation.name) in self._access.rules)
        yield from self.expand(f"(@system({column}) OR {column} = ANY (")
        yield _array(listed, "oid") + "))"

    def _names(self) -> str:
        """A condition on r.relname in the schema strategy: the default, and the relations that roles name."""
        default = self._access.default.read
        differing = sorted(
            name for (schema, name), table in self._access.tables.items() if schema == "" and table.read is not default
        )
        among = _plain("r.relname = ANY (") + _array(differing, "name") + ")"
        return f"NOT ({among})" if default else _plain("(r.relkind = 'c' OR ") + among + ")"

    def _schema(self, column: str) -> Iterator[Piece]:
        if self._access.isolation is Isolation.SHARED:
            yield _plain(f"({column}::pg_catalog.name = ANY (") + self._schemas + "))"
            return
        system = _array(sorted(_SHOWN_SCHEMAS), "name")
        yield _plain(f"({column}::pg_catalog.name = ANY ({system}) OR {column}::pg_catalog.name = ")
        yield SCHEMA_NAME
        yield ")"


def _not_denied(access: TableAccess) -> str:
    """The test that a column's name, before it, is not one that the roles are denied."""
    if access.only is not None and access.rest is None:
        return f"OPERATOR(pg_catalog.=) ANY ({_array(sorted(access.only), 'name')})"
    return f"OPERATOR(pg_catalog.<>) ALL ({_array(sorted(access.denied), 'name')})"


def _array(items: Iterable[str], type_name: str) -> str:
    """An array constant; each name quoted, so that none can end it."""
    quoted = (item if item.isdecimal() else _element(item) for item in items)
    return quote_literal("{" + ",".join(quoted) + "}") + f"::pg_catalog.{type_name}[]"


def _element(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    text = _OID.sub(r"'\1'::pg_catalog.oid", text)
    return _OPERATOR.sub(r" OPERATOR(pg_catalog.\1) ", text)


def _merged(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Neighbouring strings joined."""
    out: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and out and isinstance(out[-1], str):
            out[-1] += piece
        else:
            out.append(piece)
    return tuple(out)
