"""A report: each control of a framework with its evidence, what is missing and what is out of line.

`make_report` is the function for the API; `build_report` does the same over sources that are open already.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from admin.audit_search.indexer import update_index
from admin.audit_search.schema import default_index_path, open_index
from admin.compliance.controls import Control, load_framework
from admin.compliance.evidence import count, reached
from admin.compliance.facts import FACTS
from admin.compliance.figures import EXCEPTIONS, MISSING, SHOWN, Figure
from admin.compliance.integrity import day_range, log_copies, log_coverage, log_integrity, verify_log
from admin.compliance.sources import Sources, date_of
from policy.errors import ConfigurationError, TenantGateError
from policy.snapshot import Snapshot
from proxy.audit.verify import Progress
from proxy.config import GatewayConfig
from proxy.observe.version import product_version

FORMAT: Final = 1

FIGURES: Final[Mapping[str, Callable[[Sources, Mapping[str, Any]], Figure]]] = {
    "count": count,
    "reached": reached,
    "log_integrity": log_integrity,
    "log_coverage": log_coverage,
    "log_copies": log_copies,
    **FACTS,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for. since, until: seconds since the epoch; days (UTC) are whole. tenant: of it alone."""

    framework: str
    since: float
    until: float
    tenant: str | None = None
    verify: bool = True


def make_report(
    asked: Asked,
    log: Path,
    *,
    index: Path | None = None,
    config: GatewayConfig | None = None,
    snapshot: Snapshot | None = None,
    why_not: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring the index up to date, verify the log and build the report, as JSON has it.

    Takes as long as both take: call it in a thread from asyncio. Raises UnknownFramework, OSError, sqlite3.Error.
    """
    load_framework(asked.framework)
    place = index or default_index_path(log)
    update_index(place, log)
    chains = verify_log(log, progress) if asked.verify else None
    first, last = day_range(asked.since, asked.until)
    with contextlib.closing(open_index(place)) as connection:
        sources = Sources(connection, log, first, last, asked.tenant, config, snapshot, why_not, chains)
        return build_report(asked.framework, sources, time.time())


def build_report(framework: str, sources: Sources, now: float) -> dict[str, Any]:
    """The report as JSON has it. Raises UnknownFramework."""
    known = load_framework(framework)
    controls = [_control(control, sources) for control in known.controls]
    states = [str(control["state"]) for control in controls]
    return {
        "format": FORMAT,
        "framework": known.name,
        "title": known.title,
        "tenant": sources.tenant,
        "from": date_of(sources.since),
        "to": date_of(sources.until - 1),
        "made": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "made_by": f"TenantGate {product_version()}",
        "summary": {state: states.count(state) for state in (SHOWN, EXCEPTIONS, MISSING)},
        "log": _log_state(sources),
        "controls": controls,
    }


def _control(control: Control, sources: Sources) -> dict[str, Any]:
    figures = [FIGURES[entry["figure"]](sources, entry) for entry in control.evidence]
    findings = [f"{figure.title}: {figure.missing}" for figure in figures if figure.missing is not None]
    findings += [f"{figure.title}: {said}" for figure in figures for said in figure.exceptions]
    states = {figure.state for figure in figures}
    return {
        "id": control.id,
        "title": control.title,
        "asks": control.asks,
        "answer": control.answer,
        "beyond": control.beyond,
        "state": MISSING if MISSING in states else EXCEPTIONS if EXCEPTIONS in states else SHOWN,
        "findings": findings,
        "evidence": [figure.as_json() for figure in figures],
    }


def _log_state(sources: Sources) -> dict[str, Any]:
    """The verification state of the chain, in short."""
    if sources.chains is None:
        return {"verified": False, "holds": None, "lines": 0, "chains": 0}
    return {
        "verified": True,
        "holds": bool(sources.chains) and all(each.ok for each in sources.chains),
        "lines": sum(each.lines for each in sources.chains),
        "chains": len(sources.chains),
    }


def load_policy_of(config: GatewayConfig) -> tuple[Snapshot | None, str]:
    """The policy in force, or why it cannot be read: that is a finding of the report, and no reason to have none."""
    from proxy.snapshots import load_snapshot

    try:
        return asyncio.run(load_snapshot(config, 1)), ""
    except ConfigurationError as error:
        return None, "; ".join(f"{key}: {said}" for key, said, _ in error.problems[:5])
    except (TenantGateError, OSError) as error:
        return None, str(error)
