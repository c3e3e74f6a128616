"""Functions that the policy calls tenant-bound: one argument says whose rows they read, and the gateway fills it in.

What the client writes there does not matter, as with a tenant column in INSERT that is left out: the session's tenant
stands in its place, and is never NULL. In stored code (defaults) nothing can be filled in, so there such a function
is refused (policy/sql/functions.py).
"""

from __future__ import annotations

from typing import Any

from policy.sql.context import Context
from policy.sql.guard import TENANT
from policy.sql.parse import ast
from policy.sql.references import names_of
from policy.sql.rules.arguments import argument_spans
from policy.sql.verify import failed, parse_sample, same_tree

Node = Any


def fill_tenant_arguments(context: Context) -> None:
    """Put the session's tenant into the calls of tenant-bound functions."""
    if not any(rule.tenant_argument for rule in context.access.functions.values()):
        return
    for node in context.nodes:
        if isinstance(node, ast.FuncCall):
            *schema, name = names_of(node.funcname)
            rule = context.access.function(schema[-1] if schema else "", name)
            if rule is not None and rule.tenant_argument is not None and schema[-1:] != ["pg_catalog"]:
                _fill(node, rule.tenant_argument - 1, context)
                context.note(f"{name}: argument {rule.tenant_argument} is the tenant")


def _fill(node: Node, number: int, context: Context) -> None:
    context.replace(*argument_spans(node, context.tokens)[number], " ", TENANT, " ")
    argument = node.args[number]

    def unwrap(found: Node) -> Node:
        query: Any = parse_sample("SELECT %", (TENANT,))
        if not same_tree(found, query.targetList[0].val):
            raise failed("the tenant's argument")
        return argument

    context.expect(argument, unwrap)
