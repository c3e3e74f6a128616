"""`tenantgate policy validate|dry-run`: would a policy be taken, what would it make of a statement? Nothing changes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from admin.cli.body_options import add_body_option, read_body
from admin.cli.explain import add_subject
from admin.cli.options import DEFAULT_CONFIG
from admin.cli.store_access import add_action

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.store.engine import Store


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `validate` and `dry-run` to `policy`."""
    validate = add_action(
        actions, "validate", "would this policy be taken", "tenantgate policy validate office-hours --body draft.yaml",
        _validate,
    )  # fmt: skip
    dry_run = add_action(
        actions, "dry-run", "what a statement becomes now, and what with this policy in force",
        'tenantgate policy dry-run night --body draft.yaml --tenant acme --user ann --role app "SELECT * FROM orders"',
        _dry_run,
    )  # fmt: skip
    for parser in (validate, dry_run):
        parser.add_argument("id", metavar="POLICY")
        add_body_option(parser)
    add_subject(dry_run)


async def _validate(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.cli.findings import print_findings
    from admin.services.validation import problems_of

    problems = await problems_of(store, actor, "policy", arguments.id, read_body(arguments) or {})
    if arguments.json:
        errors = [{"at": at, "message": message, "hint": hint} for at, message, hint in problems]
        print(json.dumps({"valid": not problems, "errors": errors}, indent=2, ensure_ascii=False))
    elif problems:
        print_findings(problems, (), sys.stdout)
    else:
        print(f"policy {arguments.id} would be taken")
    return 1 if problems else 0


async def _dry_run(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    """Exit status 1: it would be decided otherwise."""
    from admin.cli.explain import explain_on_target, read_sql, subject_of
    from admin.cli.explanation import print_explanation
    from admin.services.judgement import picture
    from admin.services.validation import with_draft
    from proxy.config_file import load_config

    text, config = read_sql(arguments), load_config(arguments.config or DEFAULT_CONFIG, os.environ)
    async with store.reading() as session:
        before = await picture(store, session)
    after = await with_draft(store, actor, arguments.id, {**(read_body(arguments) or {}), "state": "active"})
    now, then = [
        await explain_on_target(text, config, snapshot, subject_of(arguments, config, snapshot), arguments.why)
        for snapshot in (before, after)
    ]
    if arguments.json:
        print(json.dumps({"now": now.as_dict(), "then": then.as_dict()}, indent=2, ensure_ascii=False))
    else:
        for title, explanation in (("now", now), (f"with policy {arguments.id}", then)):
            print(f"{title}:")
            print_explanation(explanation, text, sys.stdout)
    return int([s.decision for s in now.statements] != [s.decision for s in then.statements])
