"""The section [compliance] of tenantgate.toml, and the task of `tenantgate admin` that makes what it schedules."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from admin.compliance.controls import FRAMEWORKS
from admin.compliance.rendering import RENDERERS
from admin.compliance.report import Asked, make_report
from admin.compliance.schedule import PERIODS, Period, Schedule, last_period
from admin.compliance.signature import read_private_key, sign_report, signature_path
from admin.services.judgement import picture
from admin.services.reports import failed, made, take
from admin.services.works import new_holder
from policy.errors import TenantGateError
from proxy.config_file import read_section
from proxy.config_values import Table

if TYPE_CHECKING:
    from admin.store.engine import Store
    from policy.snapshot import Snapshot
    from proxy.config import GatewayConfig

_LOOK_INTERVAL_S = 60.0
_FORMATS = tuple(RENDERERS)
logger = logging.getLogger(__name__)


def load_schedules(path: Path, environ: Mapping[str, str] | None = None) -> tuple[Schedule, ...]:
    """Raises ConfigurationError with all problems of the section."""
    return read_section(path, os.environ if environ is None else environ, "compliance", _read)


def _read(table: Table) -> tuple[Schedule, ...]:
    schedules = tuple(map(_read_schedule, table.table_list("schedule")))
    names = [schedule.name for schedule in schedules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.problem("schedule", f"has {name} twice", "Give one entry several formats.")
    table.finish()
    return schedules


def _read_schedule(table: Table) -> Schedule:
    directory = table.file_path("directory")
    if directory is None:
        table.problem("directory", "is missing", 'Say where reports go: directory = "reports".')
    formats = table.strings("formats", ("pdf", "json"))
    for form in formats:
        if form not in _FORMATS:
            table.problem("formats", f"has {form!r}", f"There are {', '.join(_FORMATS)}.")
    schedule = Schedule(
        framework=table.choice("framework", "", FRAMEWORKS),
        every=table.choice("every", "month", PERIODS),
        directory=directory or Path(),
        formats=formats,
        tenant=table.optional_text("tenant"),
        key=table.existing_file("key_file"),
    )
    table.finish()
    return schedule


async def make_scheduled(store: Store, config: GatewayConfig, schedules: Sequence[Schedule]) -> None:
    """Make each report once its period is over, unless another process has; until cancelled."""
    holder = new_holder()
    while True:
        for schedule in schedules:
            try:
                await _make_if_due(store, config, schedule, holder)
            except TenantGateError as error:
                logger.error("scheduled report", extra={"schedule": schedule.name, "error": error.message})
            except Exception:
                logger.exception("scheduled report", extra={"schedule": schedule.name})
        await asyncio.sleep(_LOOK_INTERVAL_S)


async def _make_if_due(store: Store, config: GatewayConfig, schedule: Schedule, holder: str) -> None:
    period = last_period(schedule.every, time.time())
    if not await take(store, schedule.name, period.name, holder):
        return
    try:
        async with store.reading() as session:
            snapshot = await picture(store, session)
        said = await asyncio.to_thread(_make, config, snapshot, schedule, period)
    except (TenantGateError, OSError, sqlite3.Error, ValueError) as error:
        reason = getattr(error, "message", "") or str(error) or type(error).__name__
        logger.error("a scheduled report was not made", extra={"schedule": schedule.name, "error": reason})
        await failed(store, schedule.name, period.name, holder, reason)
        return
    await made(store, schedule.name, period.name, holder, said)
    logger.info("a scheduled report was made", extra={"schedule": schedule.name, "period": period.name})


def _make(config: GatewayConfig, snapshot: Snapshot, schedule: Schedule, period: Period) -> str:
    """Write the files; what the event says of them. Raises OSError, sqlite3.Error, TenantGateError, ValueError."""
    if schedule.tenant is not None and schedule.tenant not in snapshot.tenants:
        raise ValueError(f"there is no tenant {schedule.tenant}")
    key = None if schedule.key is None else read_private_key(schedule.key.read_text())
    asked = Asked(schedule.framework, period.since, period.until, schedule.tenant)
    report = make_report(asked, config.audit.path, config=config, snapshot=snapshot)
    schedule.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for form in schedule.formats:
        _write(schedule.file(period, form), RENDERERS[form](report), key)
    findings = sum(len(control["findings"]) for control in report["controls"])
    return f"{len(report['controls'])} controls, {findings} finding(s): {', '.join(schedule.formats)}"


def _write(path: Path, data: bytes, key: Any) -> None:
    """A file is whole or not there, and never without its signature."""
    if key is not None:
        _replace(signature_path(path), sign_report(data, path.name, key))
    _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
