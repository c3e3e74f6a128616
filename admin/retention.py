"""Which files of an audit log have served their time, and their removal.

A file is kept as long as one tenant in it asks for: each for its own days, or the default, and not less than the
frameworks ask for. It is removed only if no legal hold covers a tenant in it, its chain verifies, every sink has it,
and it is no chain's last. Oldest first, so that what stays is one piece. Each removal stands in the ledger, with the
file's place in its chain, its last hash and its SHA-256, before the file goes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from admin.audit_search.totals import DAY_S
from admin.retention_ledger import Hold, holds_in_force, record
from proxy.audit.forward.forwarder import state_directory
from proxy.audit.forward.positions import Position, read_positions
from proxy.audit.log_files import LogFile, find_log_files, whole_lines
from proxy.audit.verify import verify_files
from proxy.config import RETENTION_DAYS, AuditConfig

FOR_EVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a file. keep_until: seconds since the epoch, infinite without an end. why: one sentence."""

    file: LogFile
    remove: bool
    why: str
    keep_until: float
    tenants: frozenset[str]


def days_of(config: AuditConfig, tenant: str) -> float:
    """How many days events of this tenant are kept; infinite without any rule."""
    own = config.retention_tenants.get(tenant, config.retention_days)
    asked = [RETENTION_DAYS[name] for name in config.retention_frameworks]
    if own is None:
        return FOR_EVER
    return max([own, *asked])


def judge_files(config: AuditConfig, now: float | None = None) -> list[Verdict]:
    """A verdict for each file, by chain and then from old to new. Reads all of them. Raises OSError."""
    moment = time.time() if now is None else now
    holds = holds_in_force(config)
    chains: dict[str, list[LogFile]] = {}
    for file in find_log_files(config.path):
        chains.setdefault(file.chain, []).append(file)
    return [verdict for files in chains.values() for verdict in _judge_chain(config, files, holds, moment)]


def _judge_chain(config: AuditConfig, files: Sequence[LogFile], holds: Sequence[Hold], now: float) -> Iterable[Verdict]:
    kept = False
    for number, file in enumerate(files):
        newest = _newest_by_tenant(file)
        until = max((at + days_of(config, t) * DAY_S for t, at in newest.items()), default=FOR_EVER)
        why = _why_kept(config, file, number == len(files) - 1, kept, newest, holds, until, now)
        kept = kept or bool(why)
        yield Verdict(file, not why, why or "its time is over", until, frozenset(newest))


def _why_kept(
    config: AuditConfig,
    file: LogFile,
    is_last: bool,
    older_kept: bool,
    newest: dict[str, float],
    holds: Sequence[Hold],
    until: float,
    now: float,
) -> str:
    """ "" if nothing speaks for keeping it."""
    if until == FOR_EVER:
        return "no end is set for its events"
    if now < until:
        return f"kept until {time.strftime('%Y-%m-%d', time.gmtime(until))}"
    held = [hold for hold in holds if hold.tenant == "" or hold.tenant in newest]
    if held:
        return f"legal hold {held[0].name}: {held[0].reason}"
    if is_last:
        return "it is the file of now"
    if older_kept:
        return "an older file of its chain is kept"
    behind = _sink_behind(config, file)
    if behind:
        return f"sink {behind} does not have all of it"
    problem = verify_files([file.path]).first_problem
    return "" if problem is None else f"it does not verify: line {problem.line}: {problem.text}"


def _sink_behind(config: AuditConfig, file: LogFile) -> str:
    for sink in config.sinks:
        position = read_positions(state_directory(config.path) / f"{sink.name}.json").get(file.chain, Position(0))
        if (position.first_seq, position.offset) < (file.first_seq, file.size):
            return sink.name
    return ""


def _newest_by_tenant(file: LogFile) -> dict[str, float]:
    """The newest event's time of each tenant in a file; "": lines of no tenant."""
    newest: dict[str, float] = {}
    for _, line in whole_lines(file.path, 0):
        try:
            event = json.loads(line)
            tenant, at = str(event.get("tenant") or ""), float(event["time"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        newest[tenant] = max(newest.get(tenant, 0.0), at)
    return newest


def remove(config: AuditConfig, verdict: Verdict, by: str) -> None:
    """Write the ledger, then delete the file. Raises AuditUnavailable and OSError; then it is still there."""
    result = verify_files([verdict.file.path])
    with verdict.file.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    record(
        config,
        {
            "event": "removed",
            "by": by,
            "file": verdict.file.path.name,
            "chain": verdict.file.chain,
            "first_seq": verdict.file.first_seq,
            "last_seq": result.head.seq,
            "last_hash": result.head.hash,
            "sha256": digest,
            "tenants": " ".join(sorted(verdict.tenants)),
        },
    )
    verdict.file.path.unlink()


def may_erase(config: AuditConfig, tenant: str, subject: str | None) -> Hold | None:
    """The hold that forbids to erase a user's, or a whole tenant's, texts; None when none does."""
    return next((hold for hold in holds_in_force(config) if hold.covers(tenant, subject)), None)


def key_store_of(config: AuditConfig) -> Path:
    from proxy.audit.conceal import key_store_path

    return key_store_path(config)
