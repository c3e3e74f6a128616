"""`tenantgate compliance report|verify`: what an auditor asks for, from audit log, configuration and policy."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from admin.cli.audit_log import NoLog
from admin.cli.options import DEFAULT_CONFIG, add_command

if TYPE_CHECKING:
    from policy.snapshot import Snapshot
    from proxy.config import GatewayConfig

EXIT_OK, EXIT_FINDING, EXIT_UNUSABLE = 0, 1, 2

_EPILOG = """\
examples:
  tenantgate compliance report soc2 --from 2026-10-01 --to 2027-01-01 -o soc2.html
  tenantgate compliance verify soc2.html --public-key seal.pub
"""
_REPORT_EPILOG = """\
Each control is shown with its figures, what is out of line, and the state of the audit log's chain. Evidence that is
missing is a finding. The ending of -o tells the form: .html, .pdf or .json; -o may be given again.
exit status: 0 written without a finding, 1 written, with findings, 2 wrong usage or unreadable

examples:
  tenantgate compliance report soc2 --from 2026-10-01 --to 2027-01-01 -o soc2.html -o soc2.pdf --key seal.key
  tenantgate compliance report gdpr --from 30d --tenant acme -o gdpr-acme.json
  17 3 1 * *  tenantgate compliance report iso27001 --from 31d -o /reports/iso27001.pdf     from cron, each month
"""
_VERIFY_EPILOG = """\
Needs the report, its .sig beside it, and the public key: no gateway and no log.
exit status: 0 good, 1 changed or by another key, 2 unreadable

example:
  tenantgate compliance verify soc2.pdf --public-key seal.pub
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `compliance` with its own commands."""
    compliance = add_command(subparsers, "compliance", "make compliance reports, and check their signatures", _EPILOG)
    commands = compliance.add_subparsers(metavar="COMMAND", required=True)
    report = add_command(commands, "report", "make a report for soc2, hipaa, gdpr or iso27001", _REPORT_EPILOG)
    report.add_argument("framework", choices=("soc2", "hipaa", "gdpr", "iso27001"), help="whose controls")
    report.add_argument("--from", dest="since", required=True, metavar="TIME", help="first day, or how long ago: 90d")
    report.add_argument("--to", dest="until", metavar="TIME", help="before this day (default: now)")
    report.add_argument("-o", "--output", action="append", required=True, type=Path, metavar="FILE", help="where to")
    report.add_argument("--tenant", metavar="T", help="of this tenant alone")
    report.add_argument("--key", type=Path, metavar="FILE", help="sign with this Ed25519 key (PEM), as the log's seals")
    report.add_argument("--no-verify", action="store_true", help="do not verify the log: that is a finding, then")
    report.add_argument("--log", type=Path, metavar="FILE", help="audit log, instead of the configuration's")
    report.add_argument(
        "-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}"
    )
    report.set_defaults(run=run_report)
    verify = add_command(commands, "verify", "check the signature of a report", _VERIFY_EPILOG)
    verify.add_argument("report", type=Path, metavar="FILE", help="the report; its .sig is beside it")
    verify.add_argument("--public-key", type=Path, required=True, metavar="FILE", help="PEM, or 64 hex digits")
    verify.set_defaults(run=run_verify)


def run_report(arguments: argparse.Namespace) -> int:
    """Make the report and write it in each form."""
    from admin.audit_search.query import parse_time
    from admin.compliance.rendering import RENDERERS
    from admin.compliance.report import Asked, make_report
    from admin.compliance.signature import read_private_key

    unknown = [path for path in arguments.output if path.suffix.lstrip(".") not in RENDERERS]
    if unknown:
        print(f"tenantgate: {unknown[0]}: the ending must be one of .{', .'.join(RENDERERS)}", file=sys.stderr)
        return EXIT_UNUSABLE
    since = parse_time(arguments.since)
    until = parse_time(arguments.until or "0s")
    asked = Asked(arguments.framework, since, until, arguments.tenant, not arguments.no_verify)
    try:
        key = None if arguments.key is None else read_private_key(arguments.key.read_text())
        config, snapshot, why_not, log = _sources(arguments)
        report = make_report(asked, log, config=config, snapshot=snapshot, why_not=why_not)
        for path in arguments.output:
            _write(path, RENDERERS[path.suffix.lstrip(".")](report), key)
    except (OSError, sqlite3.Error) as error:
        print(f"tenantgate: {getattr(error, 'filename', None) or ''}: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    findings = sum(len(control["findings"]) for control in report["controls"])
    print(f"{len(report['controls'])} controls, {findings} finding(s): {', '.join(map(str, arguments.output))}")
    return EXIT_FINDING if findings else EXIT_OK


def _sources(arguments: argparse.Namespace) -> tuple[GatewayConfig | None, Snapshot | None, str, Path]:
    """Configuration and policy as far as they can be read. Raises NoLog, ConfigurationError."""
    from admin.compliance.report import load_policy_of
    from policy.errors import ConfigurationError
    from proxy.config_file import load_config, read_audit_section

    try:
        config = load_config(arguments.config, os.environ)
        snapshot, why_not = load_policy_of(config)
    except ConfigurationError as error:
        config, snapshot, why_not = None, None, str(error)
    log = arguments.log or (config.audit if config else read_audit_section(arguments.config, os.environ)).path
    if not log.parent.is_dir():
        raise NoLog(f"there is no directory {log.parent}", hint="Name the log with --log or the configuration with -c.")
    return config, snapshot, why_not, log


def _write(path: Path, data: bytes, key: Any) -> None:
    from admin.compliance.signature import sign_report, signature_path

    path.write_bytes(data)
    if key is not None:
        signature_path(path).write_bytes(sign_report(data, path.name, key))


def run_verify(arguments: argparse.Namespace) -> int:
    """Check a signature."""
    from admin.compliance.signature import check_report, read_public_key

    try:
        checked = check_report(arguments.report, read_public_key(arguments.public_key.read_text()))
    except OSError as error:
        print(f"tenantgate: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_UNUSABLE
    print(f"good: signed by key {checked.key}" if checked.ok else f"NOT GOOD: {checked.reason}")
    return EXIT_OK if checked.ok else EXIT_FINDING
