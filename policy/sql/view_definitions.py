"""What a view's definition names, and whether a session may therefore know of the view.

A definition is PostgreSQL's own text of it (pg_get_viewdef), in which every name but pg_catalog's is qualified.
"""

from __future__ import annotations

from functools import lru_cache

from policy.access import Access
from policy.errors import StatementRefused
from policy.model import TableClass
from policy.sql.catalog import Catalog, Relation
from policy.sql.parse import Statement, parse_statements, scan
from policy.sql.references import collect_references
from policy.sql.tokens import Tokens

_SERVERS_OWN = frozenset({None, "pg_catalog", "information_schema"})


@lru_cache(maxsize=1024)
def parse_definition(definition: str) -> tuple[str, Tokens, Statement]:
    """Text, tokens and tree of a definition. The tree is shared: nobody may change it."""
    tokens = scan(definition)
    (statement,) = parse_statements(definition, tokens)
    return definition, tokens, statement


def is_made_of_listed(view: Relation, access: Access, catalog: Catalog, *, readable: bool = False) -> bool:
    """Whether all that an unlisted view of shared tables names is listed in the policy and not denied.

    Only then there is such a view for a session. readable: and the roles may read all of it, so that catalogs show it.
    """
    try:
        named = _relations_of(view.definition) if view.definition else None
    except StatementRefused:
        return False
    return named is not None and all(_is_listed(*name, access, catalog, readable) for name in named)


@lru_cache(maxsize=1024)
def _relations_of(definition: str) -> frozenset[tuple[str, str]]:
    """(schema, name) of the relations that a definition reads, but the server's own."""
    _, tokens, statement = parse_definition(definition)
    found = collect_references(statement.node, tokens).all
    return frozenset((r.schema or "", r.name) for r in found if r.cte is None and r.schema not in _SERVERS_OWN)


def _is_listed(schema: str, name: str, access: Access, catalog: Catalog, readable: bool) -> bool:
    relation = catalog.relations.get((schema, name))
    rule = access.rules.get((schema, name))
    if relation is None or (readable and not access.table(schema, name).read):
        return False
    if rule is None:
        return relation.kind == "v" and is_made_of_listed(relation, access, catalog, readable=readable)
    return rule.table_class is not TableClass.DENIED
