"""Follows the audit log, applies the rules and writes what they tell into `alerts.jsonl`, a log in the same form.

Position and state are kept together in one file, replaced as a whole, so after a crash the watcher goes on as if
nothing had been; an alert that was written in between comes twice, with the same `alert` id.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from admin.watching.rules import Alert, Rules, state_as_json, state_from_json
from admin.watching.unusual import Unusual
from proxy.audit.emitter import AuditEmitter
from proxy.audit.forward.log_reader import LogReader
from proxy.audit.forward.positions import Position, replace_file
from proxy.config import AuditConfig

_BATCH: Final = 2000
_POLL_S: Final = 0.5
_SAVE_S: Final = 5.0
logger = logging.getLogger(__name__)


def alerts_path(config: AuditConfig) -> Path:
    """Where alerts are written; sinks get them, too."""
    return config.path.parent / "alerts.jsonl"


class Watcher:
    """From `open` to `close`, in a running loop. `told` counts alerts by rule since the start."""

    def __init__(self, config: AuditConfig) -> None:
        self._config = config
        self._directory = config.path.parent / "watch"
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._positions: dict[str, Position] = {}
        self._rules = Rules(config.watch)
        self._restore()
        self._unusual = Unusual(self._directory / "vectors") if config.watch.unusual else None
        self._reader = LogReader(config.path)
        self._alerts = AuditEmitter(replace(config, path=alerts_path(config), on_failure="deny", conceal="off"))
        self._saved_at = 0.0
        self.told: Counter[str] = Counter()
        self.events = 0

    def _restore(self) -> None:
        try:
            kept = json.loads((self._directory / "state.json").read_bytes())
            self._positions = {chain: Position(**fields) for chain, fields in kept["chains"].items()}
            self._rules = Rules(self._config.watch, state_from_json(kept["users"]))
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):
            logger.error("the watcher's state cannot be read: it begins anew", extra={"path": self._directory})

    def open(self) -> None:
        """Begin or continue the log of alerts. Raises AuditUnavailable."""
        self._alerts.start()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop`."""
        while not stop.is_set():
            if not self.step():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _POLL_S)
            await asyncio.sleep(0)

    def step(self) -> bool:
        """Take the next batch of each chain; False when there is nothing new. Raises OSError, AuditUnavailable."""
        moved = False
        for batch in self._reader.batches(self._positions, _BATCH):
            for record in batch.records:
                self._take(record.id, record.event)
            self._positions[batch.chain] = batch.position
            moved = True
        self._save(asyncio.get_running_loop().time(), force=not moved)
        return moved

    def _take(self, event_id: str, event: object) -> None:
        assert isinstance(event, dict)
        self.events += 1
        alerts = self._rules.take(event)
        if self._unusual is not None:
            alerts += self._unusual.take(event)
        for alert in alerts:
            self._tell(event_id, alert)

    def _tell(self, event_id: str, alert: Alert) -> None:
        self.told[alert.rule] += 1
        logger.warning("audit alert", extra={"rule": alert.rule, "said": alert.text})
        identity = hashlib.sha256(f"{alert.rule}\n{alert.text}\n{event_id}".encode()).hexdigest()[:32]
        names = ("tenant", "subject", "session", "client")
        self._alerts.note(
            {
                "event": "alert",
                "alert": identity,
                "rule": alert.rule,
                "level": alert.severity,
                "reason": alert.text,
                "about": event_id,
                **{name: str(alert.event.get(name) or "") for name in names},
            }
        )

    def _save(self, now: float, *, force: bool = False) -> None:
        if self._positions and (force or now - self._saved_at > _SAVE_S):
            chains = {chain: asdict(each) for chain, each in self._positions.items()}
            state = {"chains": chains, "users": state_as_json(self._rules.users)}
            data = json.dumps(state).encode()
            path = self._directory / "state.json"
            if not path.exists() or path.read_bytes() != data:
                if self._unusual is not None:
                    self._unusual.save()
                replace_file(path, data)
            self._saved_at = now

    async def close(self) -> None:
        """Keep the state, end the log of alerts."""
        self._save(0.0, force=True)
        await self._alerts.close()
