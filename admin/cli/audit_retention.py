"""`tenantgate audit retention|hold|shred`: how long the log is kept, what must not go, and the erasure of texts."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import secrets
import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.options import DEFAULT_CONFIG, add_command
from policy.errors import TenantGateError

if TYPE_CHECKING:
    from admin.retention_ledger import Fields
    from proxy.config import AuditConfig

EXIT_OK, EXIT_REFUSED, EXIT_UNUSABLE = 0, 1, 2

_RETENTION_EPILOG = """\
Shows each file of the log with what is to become of it, and changes nothing. With --apply it removes those whose time
is over: never one under a legal hold, one that does not verify, one that a sink does not have, or the file of now.
What was removed stands in retention.jsonl beside the log, chained as the log is.
exit status: 0 done, 2 unusable

examples:
  tenantgate audit retention
  tenantgate audit retention --apply          from cron, after rotation
"""
_HOLD_EPILOG = """\
While a hold is in force no file with events of the tenant is removed, and no text of it is erased.
exit status: 0 done, 1 there is no such hold, 2 unusable

examples:
  tenantgate audit hold --tenant acme --reason "case 2026-17"
  tenantgate audit hold --list
  tenantgate audit hold --release 5f2c9a10
"""
_SHRED_EPILOG = """\
With [audit] conceal = "subject" (or "tenant"), texts and parameters stand encrypted in the log. This destroys the keys
of one user, or of a whole tenant: the texts can then be read by nobody, in the log and in every copy of it, and the
chain verifies as before. It cannot be undone. What is not a text stays: who, when, which tables, how it ended.
exit status: 0 shredded, 1 refused by a legal hold or nothing there, 2 unusable

examples:
  tenantgate audit shred --tenant acme --subject alice --reason "GDPR art. 17, request 118" --yes
  tenantgate audit shred --tenant acme --all --reason "contract ended" --yes
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `retention`, `hold` and `shred` to `audit`."""
    retention = add_command(commands, "retention", "show or remove files whose time is over", _RETENTION_EPILOG)
    retention.add_argument("--apply", action="store_true", help="remove them")
    retention.add_argument("--json", action="store_true", help="one JSON object for each file")
    retention.set_defaults(run=run_retention)
    hold = add_command(commands, "hold", "keep a tenant's events from removal and erasure", _HOLD_EPILOG)
    which = hold.add_mutually_exclusive_group(required=True)
    which.add_argument("--tenant", metavar="T", help='hold this tenant; "" for all')
    which.add_argument("--release", metavar="NAME", help="end a hold")
    which.add_argument("--list", action="store_true", help="show the holds in force")
    hold.add_argument("--subject", default="", metavar="U", help="of this user's texts only")
    hold.add_argument("--reason", default="", metavar="TEXT", help="why; wanted for a new hold")
    hold.set_defaults(run=run_hold)
    shred = add_command(commands, "shred", "destroy the keys of a user's or a tenant's texts", _SHRED_EPILOG)
    shred.add_argument("--tenant", required=True, metavar="T", help="whose")
    who = shred.add_mutually_exclusive_group(required=True)
    who.add_argument("--subject", metavar="U", help="of this user (conceal = subject)")
    who.add_argument("--all", action="store_true", help="of the whole tenant")
    shred.add_argument("--reason", required=True, metavar="TEXT", help="why; it goes into the ledger")
    shred.add_argument("--yes", action="store_true", help="yes, it cannot be undone")
    shred.set_defaults(run=run_shred)
    for parser in (retention, hold, shred):
        parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="configuration")


def _config(arguments: argparse.Namespace) -> AuditConfig:
    from proxy.config_file import read_audit_section

    return read_audit_section(arguments.config, os.environ)


def run_retention(arguments: argparse.Namespace) -> int:
    """Show verdicts, or act on them."""
    from admin.retention import judge_files, remove

    config = _config(arguments)
    try:
        for verdict in judge_files(config):
            done = verdict.remove and arguments.apply
            if done:
                remove(config, verdict, _whoami())
            state = "removed" if done else "to remove" if verdict.remove else "kept"
            told = {"file": verdict.file.path.name, "state": state, "why": verdict.why, "bytes": verdict.file.size}
            print(json.dumps(told) if arguments.json else f"{state:10} {told['file']:30} {verdict.why}")
    except (OSError, ValueError) as error:
        return _unusable(error)
    return EXIT_OK


def run_hold(arguments: argparse.Namespace) -> int:
    """Make, end or list holds."""
    from admin.retention_ledger import holds_in_force, record

    config = _config(arguments)
    try:
        holds = holds_in_force(config)
        if arguments.list:
            for hold in holds:
                since = time.strftime("%Y-%m-%d", time.gmtime(hold.since))
                held = f"{hold.tenant or 'all tenants'}{f', user {hold.subject}' if hold.subject else ''}"
                print(f"{hold.name}  since {since}  {held}  {hold.reason}  (by {hold.by})")
            return EXIT_OK
        if arguments.release:
            return _release(config, arguments.release, {hold.name for hold in holds})
        if not arguments.reason.strip():
            print("tenantgate: a hold wants a --reason", file=sys.stderr)
            return EXIT_UNUSABLE
        name = secrets.token_hex(4)
        whom: Fields = {"tenant": arguments.tenant, "subject": arguments.subject}
        record(config, {"event": "hold", "name": name, **whom, "reason": arguments.reason, "by": _whoami()})
    except (OSError, ValueError) as error:
        return _unusable(error)
    print(name)
    return EXIT_OK


def _release(config: AuditConfig, name: str, known: set[str]) -> int:
    from admin.retention_ledger import record

    if name not in known:
        print(f"tenantgate: there is no hold {name!r} in force", file=sys.stderr)
        return EXIT_REFUSED
    record(config, {"event": "release", "name": name, "by": _whoami()})
    print(f"released {name}")
    return EXIT_OK


def run_shred(arguments: argparse.Namespace) -> int:
    """Destroy keys, and record that."""
    from admin.retention import key_store_of, may_erase
    from admin.retention_ledger import record
    from proxy.audit.text_keys import TextKeys

    config = _config(arguments)
    if config.text_key is None or config.conceal == "off" or not key_store_of(config).exists():
        print("tenantgate: texts are not encrypted here: set conceal and text_key in [audit]", file=sys.stderr)
        return EXIT_UNUSABLE
    if not arguments.yes:
        print("tenantgate: this cannot be undone: say --yes", file=sys.stderr)
        return EXIT_UNUSABLE
    subject = None if arguments.all else arguments.subject
    try:
        hold = may_erase(config, arguments.tenant, subject)
        if hold is not None:
            print(f"tenantgate: legal hold {hold.name} forbids it: {hold.reason}", file=sys.stderr)
            return EXIT_REFUSED
        whom: Fields = {"tenant": arguments.tenant, "subject": subject or ""}
        record(config, {"event": "shred", **whom, "reason": arguments.reason, "by": _whoami()})
        shredded = TextKeys(key_store_of(config), config.text_key).shred(arguments.tenant, subject, arguments.reason)
        record(config, {"event": "shredded", **whom, "keys": " ".join(shredded)})
    except (OSError, ValueError, sqlite3.Error) as error:
        return _unusable(error)
    print(f"{len(shredded)} key(s) shredded")
    return EXIT_OK if shredded else EXIT_REFUSED


def _whoami() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _unusable(error: Exception) -> int:
    if isinstance(error, TenantGateError):
        raise error
    print(f"tenantgate: {getattr(error, 'filename', None) or ''}: {error}", file=sys.stderr)
    return EXIT_UNUSABLE
