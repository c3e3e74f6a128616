"""What was used per period, kept in a small file over a restart of the gateway: read once at the start, written every
few seconds and at the end. A gateway that is killed forgets what came after the last writing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Final

from proxy.config import GatewayConfig
from proxy.workers.table import END, KINDS, START, USED, WARNED, QuotaTable, TableFull

logger = logging.getLogger(__name__)

SAVE_INTERVAL_S: Final = 5.0
_WORDS: Final = (START, END, USED, WARNED)
_FORMAT: Final = 1


def state_path(config: GatewayConfig) -> Path:
    """Beside the audit log unless configured."""
    return config.quotas.state_file or config.audit.path.with_name("quotas.json")


def dump(table: QuotaTable, wall: float) -> dict[str, list[list[int]]]:
    """Periods that are not over, by the digest of the tenant's name: start, end, used and warned of each kind."""
    kept = {}
    for digest, row in table.rows():
        periods = [[row.period(kind, word) for word in _WORDS] for kind in range(KINDS)]
        if any(period[1] > wall and period[2] for period in periods):
            kept[digest.hex()] = periods
    return kept


def fill(table: QuotaTable, kept: dict[str, list[list[int]]], wall: float) -> None:
    """Put into a new table what `dump` gave. Raises ValueError, TypeError or AttributeError for anything else."""
    for digest, periods in kept.items():
        if len(bytes.fromhex(digest)) != 16 or len(periods) != KINDS:
            raise ValueError("not a state of quotas")
        for kind, (start, end, used, warned) in enumerate(periods):
            if end > wall and used > 0:
                row = table.row_of(bytes.fromhex(digest))
                row.begin_period(kind, int(start), int(end))
                row.put_period(kind, USED, int(used))
                row.put_period(kind, WARNED, int(warned))


class StateFile:
    """Lifetime: the process that owns the table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saving = threading.Lock()
        self._written: dict[str, list[list[int]]] = {}

    def load(self, table: QuotaTable) -> None:
        """What cannot be read is no reason not to serve; the log says so."""
        try:
            found = json.loads(self._path.read_bytes())
            if not isinstance(found, dict) or found.get("format") != _FORMAT:
                raise ValueError("another format")
            fill(table, found["tenants"], time.time())
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, TableFull) as error:
            logger.warning("what was used of quotas is not known any more: %s: %s", self._path, error)

    def save(self, table: QuotaTable) -> None:
        """Write it anew when it has changed. By any thread."""
        with self._saving:
            self._save(table)

    def _save(self, table: QuotaTable) -> None:
        kept = dump(table, time.time())
        if kept == self._written:
            return
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump({"format": _FORMAT, "tenants": kept}, file)
            beside.replace(self._path)
            self._written = kept
        except OSError as error:
            logger.warning("what was used of quotas is not kept: %s", error)

    async def keep(self, table: QuotaTable) -> None:
        """Save it again and again."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            await asyncio.to_thread(self.save, table)
