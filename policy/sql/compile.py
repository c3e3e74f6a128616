"""From a client's query string to plans: the order of the work, and the table of rules.

How a statement is compiled
  1. scan and parse (parse.py); a syntax error ends it here.
  2. classify.py says what the statement is; a class that is not handled for the session's strategy is refused.
  3. functions.py reviews every function, operator, cast and type that it names.
  4. the rule of its class runs (`RULES`), then `rules/select.py` guards every relation in FROM, at every depth, and the
     write rules run once for each INSERT, UPDATE and DELETE in it (also in a WITH).
  5. rewrite.py splices the edits into the client's text, verify.py parses the outcome and compares it with the client's
     statement, crosscheck.py asks a second parser which relations it sees.

The interface of a rule: `rule(node, context) -> None`; node is of the client's tree, `Context` is in context.py.
  - A rule refuses by raising a StatementRefused (policy/errors.py), with a position.
  - A rule changes text with `context.replace`, `context.insert` and `context.wrap`; offsets are characters of
    `context.text`; `context.tokens` finds clauses. It leaves expressions, sub-selects and FROM to step 4: a write
    rule handles its target only (`context.target_of(node)`, `resolve(reference, "update", context)` of resolve.py,
    tests from guard.py), encloses a client's condition with `context.wrap`, never replaces it.
  - For each change a rule tells verify.py how to take it away again: `context.expect(node, unwrap)`.
  - It records what it did: `context.note`, `context.reach`, `context.copy_stamp` …
  - Before it looks at the value of a literal it calls `context.pin()`: whether a plan is pinned may depend on the
    shape of the statement only, never on what the literal turned out to be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from policy.access import Access
from policy.errors import StatementRefused, UnsupportedStatement
from policy.sql.catalog import Catalog
from policy.sql.classify import classify
from policy.sql.context import Context
from policy.sql.crosscheck import cross_check
from policy.sql.functions import review_code
from policy.sql.growth import asks_for_quota, grows, quota_plan, tables_made
from policy.sql.lanes import may_prepare, may_share
from policy.sql.parse import Statement, ast, fingerprint_of, parse_statements, scan
from policy.sql.plan import ClientText, CompiledQuery, Piece, Plan, StatementKind
from policy.sql.policies import check_statement_policies
from policy.sql.reached_columns import reached_columns
from policy.sql.references import collect_references
from policy.sql.resolve import check_type_names
from policy.sql.rewrite import splice, with_literal_slots
from policy.sql.rules import code, own_database, own_ddl, session, settings, tenant_names, utility
from policy.sql.rules.catalog_functions import guard_catalog_functions
from policy.sql.rules.copy import rewrite_copy
from policy.sql.rules.copy_staged import StagedCopy, as_one_text, stages_of
from policy.sql.rules.denied_columns import denies_columns, refuse_denied_columns, without_denied_columns
from policy.sql.rules.insert import rewrite_insert
from policy.sql.rules.merge import rewrite_merge
from policy.sql.rules.object_names import guard_object_names
from policy.sql.rules.result_limit import limit_rows
from policy.sql.rules.select import guard_sources
from policy.sql.rules.temporary import PINS as TEMPORARY_TABLE
from policy.sql.rules.temporary import TEMPORARY_RULES
from policy.sql.rules.tenant_arguments import fill_tenant_arguments
from policy.sql.rules.update_delete import rewrite_delete, rewrite_update
from policy.sql.shape import literal_spans, shape_of
from policy.sql.tokens import Tokens
from policy.sql.tracking import check_triggers, needs_mark, with_mark
from policy.sql.user_code import user_code_of
from policy.sql.verify import verify

__all__ = ["Context", "compile_query"]

Rule = Callable[[Any, Context], None]

# What a write in a statement needs, wherever it stands.
WRITE_RULES: dict[type, Rule] = {
    ast.InsertStmt: rewrite_insert,
    ast.UpdateStmt: rewrite_update,
    ast.DeleteStmt: rewrite_delete,
    ast.MergeStmt: rewrite_merge,
}

# What the statement itself needs, besides its relations in FROM and its writes.
RULES: dict[type, Rule] = {
    ast.CopyStmt: rewrite_copy,
    **session.RULES,
    **settings.RULES,
    **tenant_names.RULES,
    **utility.RULES,
    **code.CODE_RULES,
    **own_database.OWN_DATABASE_RULES,
    **own_ddl.RULES,
}


def compile_query(text: str, access: Access, catalog: Catalog, *, schema: str = "") -> CompiledQuery:
    """Compile a query string for everybody with this access.

    schema: the session's own schema (schema strategy). It names what the catalog is looked up under and belongs
    in the key under which the result is kept. Never raises for a refused statement: its plan carries `denial`.
    """
    try:
        tokens = scan(text)
        statements = parse_statements(text, tokens)
    except StatementRefused as error:
        return refused_query(text, error)
    if not statements:
        empty = Plan(StatementKind.EMPTY, "", (ClientText(text, 0),), text)
        return CompiledQuery((empty,), by_shape=False)
    if denies_columns(access):
        catalog = without_denied_columns(catalog, access, schema)
    compiled = [_compile(s, text, tokens, access, catalog, schema) for s in statements]
    plans = tuple(plan for plan, _ in compiled)
    by_shape = not any(pinned for _, pinned in compiled) and shape_of(text) is not None
    if by_shape:
        spans = literal_spans(text)
        plans = tuple(_with_slots(plan, spans) for plan in plans)
    return with_mark(CompiledQuery(plans, by_shape))


def refused_query(text: str, error: StatementRefused) -> CompiledQuery:
    """A query string of which nothing is known but that it is refused."""
    plan = Plan(StatementKind.UTILITY, _first_word(text), (), text, denial=error.fresh())
    return CompiledQuery((plan,), by_shape=False)


def _first_word(text: str) -> str:
    words = text.split(None, 1)
    return words[0].upper()[:20] if words and words[0].isalpha() else ""


def _compile(
    statement: Statement, text: str, tokens: Tokens, access: Access, catalog: Catalog, schema: str
) -> tuple[Plan, bool]:
    """One statement's plan, and whether it holds for this text only."""
    if asks_for_quota(statement):
        return quota_plan(statement, text), True
    context: Context | None = None
    try:
        references = collect_references(statement.node, tokens)
        context = Context(access, catalog, schema, text, tokens, statement, references)
        pieces = _apply_rules(context)
        if context.staged is not None:
            stages = stages_of(pieces, context.staged, _staged_insert(context.staged, context))
            return replace(_plan(context, as_one_text(stages)), stages=stages), context.pinned
        return _plan(context, pieces), context.pinned
    except StatementRefused as error:
        return _denied(statement, text, context, error), True
    except RecursionError:
        too_deep = UnsupportedStatement(
            "statement is nested too deeply", sqlstate="54001", position=statement.start + 1, hint="Split it."
        )
        return _denied(statement, text, context, too_deep), True


def _apply_rules(context: Context) -> tuple[Piece, ...]:
    node = context.statement.node
    classify(context)
    check_statement_policies(context)
    check_triggers(context)
    check_type_names(context)
    refuse_denied_columns(context)
    review = review_code(node, context.access, context.catalog, answered_calls=settings.answered_calls(context))
    if review.pinned:
        context.pin()
    if review.writes:
        context.write = True
        context.kind = StatementKind.WRITE if context.kind is StatementKind.READ else context.kind
    context.leaves |= review.leaves
    if review.recalls:
        context.session_action = ("recall",)
    if review.runs_user_code:
        context.pins = code.PINS
    if context.temporary and context.has_own_code:
        context.pins = TEMPORARY_TABLE
    rewritten = context.temporary and not context.has_own_code
    rule = (TEMPORARY_RULES if rewritten else RULES).get(type(node))
    if rule is not None:
        rule(node, context)
    guard_sources(context)
    tenant_names.keep_per_tenant(context)
    session.keep_what_stays(context)
    guard_catalog_functions(context)
    guard_object_names(context)
    fill_tenant_arguments(context)
    for write in context.references.writes:
        WRITE_RULES[type(write)](write, context)
    utility.quiet_explain(context)
    limit_rows(context)
    pieces = splice(context.text, context.statement.start, context.statement.end, context.edits)
    verify(pieces, context)
    cross_check(context)
    return pieces


def _staged_insert(staged: StagedCopy, copy: Context) -> tuple[Piece, ...]:
    """The INSERT of a COPY FROM that is staged, compiled as if the client had written it."""
    tokens = scan(staged.insert)
    (statement,) = parse_statements(staged.insert, tokens)
    references = collect_references(statement.node, tokens)
    context = Context(copy.access, copy.catalog, copy.schema, staged.insert, tokens, statement, references)
    try:
        pieces = _apply_rules(context)
    except StatementRefused as error:
        error.position = copy.statement.start + 1
        raise
    for rule in context.rules:
        copy.note(rule)
    copy.has_runtime_check = context.has_runtime_check
    copy.leaves |= context.leaves
    return pieces


def _plan(context: Context, pieces: tuple[Piece, ...]) -> Plan:
    start, end = context.statement.start, context.statement.end
    original = context.text[start:end]
    marked = needs_mark(context)
    alone = marked or context.by_policy or context.row_limit is not None
    return Plan(
        kind=context.kind,
        command=context.command,
        pieces=pieces,
        original=original,
        offset=start,
        fingerprint=fingerprint_of(original),
        relations=tuple(context.relations),
        columns=reached_columns(context),
        rules=tuple(context.rules),
        write=context.write,
        copy_stamp=context.copy_stamp,
        staged="" if context.staged is None else context.staged.table,
        session_action=context.session_action,
        refused_parameter_types=user_code_of(context.catalog).parameter_types,
        has_runtime_check=context.has_runtime_check,
        settings=tuple(context.settings),
        leaves=context.leaves,
        shareable=may_share(context) and not alone,
        preparable=may_prepare(context) and not alone,
        pins=context.pins,
        approvals=tuple(sorted(context.approvals.items())),
        row_limit=context.row_limit or 0,
        byte_limit=context.byte_limit or 0,
        limited_by=", ".join(sorted(context.limited_by)),
        grows=grows(context),
        tables_made=tables_made(context),
        marked=marked,
    )


def _denied(statement: Statement, text: str, context: Context | None, error: StatementRefused) -> Plan:
    return Plan(
        kind=StatementKind.UTILITY if context is None else context.kind,
        command="" if context is None else context.command,
        pieces=(),
        original=text[statement.start : statement.end],
        offset=statement.start,
        fingerprint=_fingerprint_or_empty(text[statement.start : statement.end]),
        relations=() if context is None else tuple(context.relations),
        columns=() if context is None else reached_columns(context),
        denial=error.fresh(),
    )


def _fingerprint_or_empty(text: str) -> str:
    try:
        return fingerprint_of(text)
    except StatementRefused:
        return ""


def _with_slots(plan: Plan, spans: tuple[tuple[int, int], ...]) -> Plan:
    return replace(plan, pieces=with_literal_slots(plan.pieces, spans))
