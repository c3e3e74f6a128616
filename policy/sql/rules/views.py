"""Views: each stands for its query, in which every relation is guarded as if the client had written it.

A view runs with its owner's rights and knows nothing of tenants, roles or masks; whether its tenant column says the
truth cannot be seen from outside (corpus VIEW-005 to VIEW-007). So a reference to a view becomes its definition, put
through the same rules and the same check as a client's text: it shows what its reader may see of its tables, and a
view whose definition uses something that a client may not use is refused. Views that the policy calls `trusted`
or `global` are left as they are, and so are those of a tenant's own database whose roles limit nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from policy.access import Access, TableAccess
from policy.errors import AccessDenied, StatementRefused
from policy.model import Isolation, TableClass
from policy.sql.catalog import Relation
from policy.sql.classify import check_nodes
from policy.sql.context import Context
from policy.sql.functions import review_code
from policy.sql.guard import Pieces, needs_barrier
from policy.sql.leakproof import view_is_leakproof
from policy.sql.plan import ClientText, StatementKind
from policy.sql.policies import take_over
from policy.sql.references import Reference, collect_references
from policy.sql.resolve import Resolved, check_type_names
from policy.sql.rewrite import splice
from policy.sql.rules.catalog_functions import guard_catalog_functions
from policy.sql.rules.denied_columns import refuse_denied_columns
from policy.sql.rules.object_names import guard_object_names
from policy.sql.rules.tenant_arguments import fill_tenant_arguments
from policy.sql.rules.tenant_names import keep_per_tenant
from policy.sql.verify import verify
from policy.sql.view_definitions import parse_definition

GuardSources = Callable[[Context], None]


def expanded(resolved: Resolved, reference: Reference, context: Context, guard_sources: GuardSources) -> Resolved:
    """The relation itself, or a view with its guarded query as the source. Raises when that cannot be made."""
    relation = resolved.relation
    if relation is None or not _is_expanded(resolved, relation, context.access):
        return resolved
    context.note(f"{resolved.name}: the view is its query over guarded tables")
    try:
        return replace(resolved, source=_guarded_query(relation, context, guard_sources))
    except StatementRefused as error:
        raise AccessDenied(
            f"permission denied for view {resolved.name}",
            detail=f"Its definition cannot be used: {error.message}.",
            hint="A view may do what a statement of yours may; ask your administrator, who can change or trust it.",
            position=reference.position,
        ) from None


def _is_expanded(resolved: Resolved, relation: Relation, access: Access) -> bool:
    if relation.kind != "v":
        return False
    if access.isolation is Isolation.SHARED:
        rule = resolved.rule
        return rule is None or (rule.table_class is TableClass.TENANT and not rule.trusted)
    return access.isolation is Isolation.SCHEMA or any(map(_limits, _table_accesses(access)))


def _table_accesses(access: Access) -> Iterable[TableAccess]:
    return (access.default, *access.schemas.values(), *access.tables.values())


def _limits(access: TableAccess) -> bool:
    """Whether a view could show more than this."""
    return not access.read or access.limits or access.policy.restricts


def _has_masks(references: Iterable[Reference], access: Access) -> bool:
    """Whether a column of the view may be a mask, which is not seen from outside: the view's column has its type."""
    tables = (access.table(schema, r.name) for r in references for schema in (r.schema or "", ""))
    return any(table.masks for table in tables)


def _guarded_query(relation: Relation, outer: Context, guard_sources: GuardSources) -> Pieces:
    """The view's query in brackets, guarded and checked."""
    if not relation.definition:
        raise AccessDenied("it is not known")
    text, tokens, statement = parse_definition(relation.definition)
    references = collect_references(statement.node, tokens)
    inner = Context(outer.access, outer.catalog, outer.schema, text, tokens, statement, references)
    inner.own_text = False
    quiet = not _has_masks(references.all, outer.access) and view_is_leakproof(statement.node, inner)
    inner.leakproof = quiet and not needs_barrier(outer)
    check_nodes(statement.node, inner)
    check_type_names(inner)
    refuse_denied_columns(inner)
    review = review_code(statement.node, inner.access, inner.catalog)
    outer.leaves |= review.leaves
    if review.writes:
        outer.write = True
        outer.kind = StatementKind.WRITE if outer.kind is StatementKind.READ else outer.kind
    guard_sources(inner)
    keep_per_tenant(inner)
    guard_catalog_functions(inner)
    guard_object_names(inner)
    fill_tenant_arguments(inner)
    outer.pins = outer.pins or inner.pins
    pieces = splice(text, statement.start, statement.end, inner.edits)
    verify(pieces, inner)
    for schema, name in (each.split(".", 1) for each in inner.relations):
        outer.reach(schema, name)
    for rule in inner.rules:
        outer.note(rule)
    take_over(inner, outer)
    return ("(", *(piece.text if isinstance(piece, ClientText) else piece for piece in pieces), ")")
