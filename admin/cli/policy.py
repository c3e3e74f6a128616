"""`tenantgate policy`: policy as code: what files in git would change in the store, changing it, and writing it out."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.kept import add_kept_actions
from admin.cli.store_access import add_action, add_group

if TYPE_CHECKING:
    from admin.services.actor import Actor
    from admin.services.documents import Plan
    from admin.store.engine import Store

_EPILOG = """\
DIR_OR_FILE is a policy.yaml, or a directory whose *.yaml files together are one. A section that they have is made as
it says there, with what it does not name taken out; a section that they lack stays as it is. list, show, set, delete,
validate and dry-run are about single policies of conditions and effects (section `policies`).

examples:
  tenantgate policy export policy/ --store policy.db
  tenantgate policy plan policy/ --store policy.db
  tenantgate policy apply policy/ --store policy.db --expect-version 41
  tenantgate policy test cases.yaml
  tenantgate policy replay --audit audit/audit.jsonl --policy draft.yaml
  tenantgate policy set office-hours --body office-hours.yaml
  tenantgate policy dry-run office-hours --body draft.yaml --tenant acme --user ann --role app "SELECT * FROM orders"
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `policy` to the command line."""
    actions = add_group(subparsers, "policy", "policy as code: plan, apply, export, test, replay", _EPILOG)
    plan = add_action(
        actions, "plan", "show what the files would change; changes nothing",
        "tenantgate policy plan policy/ --store policy.db", _plan,
    )  # fmt: skip
    plan.add_argument("--exit-code", action="store_true", help="exit with 1 when there are changes")
    apply = add_action(
        actions, "apply", "make the store as the files say, all or nothing",
        "tenantgate policy apply policy/ --store policy.db --expect-version 41", _apply,
    )  # fmt: skip
    apply.add_argument("--expect-version", type=int, metavar="N", help="only if the policy is at this version")
    export = add_action(
        actions, "export", "write the store's policy to files, the same bytes for the same policy",
        "tenantgate policy export policy/ --store policy.db", _export,
    )  # fmt: skip
    add_kept_actions(actions, "policy", "office-hours")
    for name in ("policy_test", "policy_replay", "policy_try"):
        import_module(f"admin.cli.{name}").add_parser(actions)
    for parser in (plan, apply):
        parser.add_argument("path", type=Path, metavar="DIR_OR_FILE")
        parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    export.add_argument("path", type=Path, nargs="?", metavar="DIR_OR_FILE", help="(default: standard output)")


async def _plan(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.policy_files.reading import read_files
    from admin.services.documents import plan_document

    plan = await plan_document(store, actor, read_files(arguments.path))
    _show(arguments, plan)
    if not arguments.json and plan.differences:
        print(f"To do this: tenantgate policy apply {arguments.path} --expect-version {plan.version}")
    return 1 if arguments.exit_code and plan.differences else 0


async def _apply(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.policy_files.reading import read_files
    from admin.services.documents import apply_document

    document = read_files(arguments.path)
    plan = await apply_document(store, actor, document, expect_version=arguments.expect_version)
    _show(arguments, plan)
    if not arguments.json and plan.differences:
        print(f"Applied: the policy is at version {plan.version} now.")
    return 0


async def _export(arguments: argparse.Namespace, store: Store, actor: Actor) -> int:
    from admin.policy_files.writing import document_text, write_files
    from admin.services.documents import export_document

    version, document = await export_document(store, actor)
    if arguments.json:
        print(json.dumps({"version": version, "document": document}, indent=2, ensure_ascii=False))
    elif arguments.path is None:
        print(document_text(document), end="")
    else:
        names = write_files(arguments.path, document)
        print(f"policy version {version}: {', '.join(names) or 'nothing to write'}", file=sys.stderr)
    return 0


def _show(arguments: argparse.Namespace, plan: Plan) -> None:
    from admin.policy_files.diff import difference_lines, summary

    if arguments.json:
        differences = [{"kind": d.kind, "id": d.id, "before": d.before, "after": d.after} for d in plan.differences]
        print(json.dumps({"version": plan.version, "differences": differences}, indent=2, ensure_ascii=False))
        return
    coloured = arguments.color == "always" or (arguments.color == "auto" and sys.stdout.isatty())
    for line in difference_lines(plan.differences, coloured=coloured):
        print(line)
    print(summary(plan))
