"""Figures about the audit log itself: is it whole, does it cover the period, do copies of it exist."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from admin.audit_search.totals import DAY_S
from admin.compliance.figures import Cell, Figure
from admin.compliance.sources import ChainState, Sources, date_of
from proxy.audit.forward.forwarder import state_directory
from proxy.audit.forward.log_reader import LogReader
from proxy.audit.forward.positions import read_positions
from proxy.audit.log_files import LogFile, find_log_files
from proxy.audit.verify import Progress, verify_files
from proxy.config_sinks import SinkConfig


def verify_log(log: Path, progress: Progress | None = None) -> list[ChainState]:
    """Check every chain of a log with all of its files. Raises OSError."""
    chains: dict[str, list[LogFile]] = {}
    for file in find_log_files(log):
        chains.setdefault(file.chain, []).append(file)
    return [_verify(chain, files, progress) for chain, files in chains.items()]


def _verify(chain: str, files: list[LogFile], progress: Progress | None) -> ChainState:
    result = verify_files([file.path for file in files], progress)
    problem = result.first_problem
    said = "" if problem is None else f"{problem.path.name}, line {problem.line}: {problem.kind}: {problem.text}"
    if problem is None and files[0].first_seq > 1:
        said = f"lines 1 to {files[0].first_seq - 1} are not here: an older file was moved away"
    return ChainState(chain, len(files), result.events, problem is None, said)


def log_integrity(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """Whether the chain of hashes holds, from the first line that is there to the last."""
    title, source = "Verification of the audit log's chains", "tenantgate audit verify, run for this report"
    if sources.chains is None:
        return Figure(title, source, missing="the log was not verified for this report")
    if not sources.chains:
        return Figure(title, source, missing="there is no audit log")
    rows = [
        [each.chain[:12], each.files, each.lines, "holds" if each.ok else "DOES NOT HOLD", each.problem]
        for each in sources.chains
    ]
    broken = [f"chain {each.chain[:12]}: {each.problem}" for each in sources.chains if not each.ok]
    lines = sum(each.lines for each in sources.chains)
    return Figure(title, source, ("chain", "files", "lines", "state", "remark"), rows, lines, broken)


def log_coverage(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """Days of the period on which nothing was recorded, and the log's first and last day."""
    title, source = "Days covered by the audit log", "audit log: days with events, of every kind"
    rows = sources.index.execute(
        "SELECT day, sum(events) FROM totals WHERE day >= ? AND day < ? AND day > 0 GROUP BY day ORDER BY day",
        (sources.since, sources.until),
    ).fetchall()
    if not rows:
        return Figure(title, source, missing="the audit log has no event in the period")
    days = {int(day) for day, _ in rows}
    empty = [day for day in range(sources.since, sources.until) if day not in days]
    exceptions = [f"nothing was recorded on {_spans(empty)}"] if empty else []
    table = [["first day with events", date_of(min(days))], ["last day with events", date_of(max(days))],
             ["days with events", f"{len(days)} of {sources.days}"]]  # fmt: skip
    return Figure(title, source, ("", ""), table, len(days), exceptions)


def _spans(days: list[int]) -> str:
    spans: list[list[int]] = []
    for day in days:
        if spans and spans[-1][1] == day - 1:
            spans[-1][1] = day
        else:
            spans.append([day, day])
    said = [date_of(a) if a == b else f"{date_of(a)} to {date_of(b)}" for a, b in spans[:10]]
    return ", ".join(said) + (f" and {len(spans) - 10} more spans" if len(spans) > 10 else "")


def log_copies(sources: Sources, _: Mapping[str, Any]) -> Figure:
    """Sinks that get a copy, and how far behind each is."""
    title, source = "Copies of the audit log elsewhere", "configuration: [audit.sinks]; positions of the forwarder"
    if sources.config is None:
        return Figure(title, source, missing=f"the configuration could not be read: {sources.reason_unread}")
    sinks = sources.config.audit.sinks
    if not sinks:
        return Figure(title, source, missing="no sink is configured: whoever can write the files can delete them")
    rows: list[list[Cell]] = []
    exceptions: list[str] = []
    for sink in sinks:
        positions = read_positions(state_directory(sources.log) / f"{sink.name}.json")
        behind = LogReader(sources.log).behind_bytes(positions)
        if sources.tenant is not None and sink.tenants and sources.tenant not in sink.tenants:
            continue
        rows.append(
            [sink.name if sources.tenant is None else "-", sink.kind, sink.url.partition("://")[0] or "-", behind]
        )
        if not positions:
            exceptions.append(f"{_named(sources, sink)}: nothing was forwarded yet")
        elif behind > sink.max_behind_bytes:
            exceptions.append(f"{_named(sources, sink)}: {behind} bytes behind the log")
    return Figure(title, source, ("sink", "type", "transport", "bytes behind"), rows, len(rows), exceptions)


def _named(sources: Sources, sink: SinkConfig) -> str:
    return f"sink {sink.name}" if sources.tenant is None else f"a sink of type {sink.kind}"


def day_range(since: float, until: float) -> tuple[int, int]:
    """Whole days (UTC) from the one of `since` on and before the one of `until`, one at least."""
    first = int(since // DAY_S)
    return first, max(int(-(-until // DAY_S)), first + 1)
