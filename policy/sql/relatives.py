"""Relations that a write of one may concern: its parts, and those whose foreign keys refer to it."""

from __future__ import annotations

from collections.abc import Iterator

from policy.sql.catalog import ForeignKey, Relation
from policy.sql.context import Context


def keys_on(relation: Relation, context: Context) -> Iterator[ForeignKey]:
    """Foreign keys that refer to a table, to what it is a part of, or to its parts."""
    seen = {(relation.schema, relation.name)}
    pending = [relation]
    while pending:
        found = pending.pop()
        yield from found.referenced_by
        for name in (*found.parents, *parts_of(found, context)):
            other = context.catalog.relations.get(name)
            if other is not None and name not in seen:
                seen.add(name)
                pending.append(other)


def parts_of(relation: Relation, context: Context) -> list[tuple[str, str]]:
    """Its partitions or children."""
    if not relation.has_children:
        return []
    own = (relation.schema, relation.name)
    return [name for name, other in context.catalog.relations.items() if own in other.parents]
