"""Keep every audit event: emitted on the reply path, encoded, chained and written in batches.

`emit` appends to a list. A timer (`flush_interval_s`), or the loop's next turn when a few events are there, turns the
list into chained lines (`chain.py`) and writes them with one system call (`file_sink.py`): often, so that no reply
waits long behind a batch. Fails closed: while the file cannot be written, `emit` and `check` raise AuditUnavailable;
events of statements that were already under way stay in the bounded queue and are written when the file is well again,
and what did not fit is told by a `gap` line.

A killed process loses what it emitted within the last flush interval; the next start says so (`recovered`).
With a signing key, segments are sealed (sealing.py) in the batch that fills one, after a while, and at the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol

from policy.audit_event import AuditEvent
from proxy.audit.anchors import Anchors, anchors_of
from proxy.audit.chain import FORMAT, ChainHead, chain_event, chain_fields
from proxy.audit.conceal import Concealer, make_concealer
from proxy.audit.errors import AuditUnavailable, MalformedLine
from proxy.audit.file_sink import FileSink, Tail, sync_descriptor
from proxy.audit.lines import chain_id_of, head_of
from proxy.audit.sealing import SEAL_MARK, SealedUntil, Sealer, handovers, take_up
from proxy.audit.signing import SigningKey
from proxy.audit.spill import open_sink
from proxy.audit.statement import StatementEvent
from proxy.config import AuditConfig
from proxy.observe.version import product_version

__all__ = ["AuditEmitter", "AuditUnavailable"]

_SOON_EVENTS: Final = 24  # some 0.1 ms of encoding
_BATCH_EVENTS: Final = 512
_BATCH_CHARS: Final = 4 * 1024 * 1024
_KEPT_CHARS: Final = 64 * 1024 * 1024  # of statement text while the file fails
_RETRY_S: Final = 0.5
_TORN_TEXT_BYTES: Final = 4096
_log = logging.getLogger(__name__)


class Waiter(Protocol):
    """Has a reply that waits until events are kept. Must not raise."""

    def release(self, acknowledged: int) -> None:
        """The first so many events are kept; leave `waiting` when nothing waits any more."""
        ...

    def refuse(self) -> None:
        """It is not known whether they are, and will not be."""
        ...


class AuditEmitter:
    """One per worker process, from `start()` in a running loop to `close()`.

    Invariant: `_head` is the last line that is on the file; events in `_pending` come after it, in order.
    """

    __slots__ = (
        "_anchors",
        "_chain",
        "_chars",
        "_clock",
        "_concealer",
        "_config",
        "_delay_s",
        "_failure",
        "_flush_at",
        "_head",
        "_loop",
        "_lost",
        "_lost_total",
        "_pending",
        "_seal_timer",
        "_sealer",
        "_sink",
        "_sync",
        "_sync_again",
        "_sync_failed",
        "_synced",
        "_syncing",
        "_syncs",
        "_timer",
        "acknowledges",
        "events",
        "on_sealed",
        "on_trouble",
        "parameter_key",
        "waiting",
    )

    def __init__(self, config: AuditConfig, *, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        key = None if config.signing_key is None else SigningKey.from_text(config.signing_key)
        self._sealer = None if key is None else Sealer(key, config.seal_events)
        self._seal_timer: asyncio.TimerHandle | None = None
        self._anchors = Anchors(anchors_of(config))
        self.on_sealed: Callable[[], None] | None = None
        self.parameter_key = _parameter_key(config, key)
        self._clock = clock
        self._concealer: Concealer | None = None
        self._pending: list[AuditEvent | StatementEvent] = []
        self._chars = 0
        self._chain = ""
        self._flush_at = min(_BATCH_EVENTS, config.max_queue)
        self._head = ChainHead()
        self._sink: FileSink | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: str | None = "not started"
        self._lost = 0
        self._lost_total = 0
        self._sync: asyncio.Future[None] | None = None
        self._sync_again = False
        self._sync_failed = False
        self.on_trouble: Callable[[bool], None] | None = None  # is told when the file fails, and when it is well again
        self.acknowledges = config.acknowledge != "off"
        self._syncs = config.fsync or config.acknowledge == "synced"
        self._delay_s = 0.0 if self.acknowledges else config.flush_interval_s
        self._synced = self._syncing = 0  # of `events`: on the disk, and on their way to it
        self.waiting: dict[Waiter, None] = {}
        self.events = 0  # lines of AuditEvents written, for the metrics

    @property
    def config(self) -> AuditConfig:
        return self._config

    @property
    def queued(self) -> int:
        """Events that are not on the file yet."""
        return len(self._pending)

    @property
    def lost(self) -> int:
        """Events that could not be kept since the start; each was answered with AuditUnavailable."""
        return self._lost_total

    @property
    def spilled_bytes(self) -> int:
        """Bytes of lines that wait in the spill for the log's file to be well again."""
        return 0 if self._sink is None else self._sink.spilled_bytes

    @property
    def head(self) -> ChainHead:
        """The last line on the file."""
        return self._head

    @property
    def chain(self) -> str:
        """The chain's id, which the first line of each of its files has."""
        return self._chain

    def start(self) -> None:
        """Open the file, begin or continue its chain. Raises AuditUnavailable; call it in the running loop."""
        self._loop = asyncio.get_running_loop()
        try:
            self._concealer = make_concealer(self._config)
            sink = open_sink(self._config)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._continue(sink)
        except (OSError, MalformedLine) as error:
            sink.close()
            raise self._unusable(error) from error
        self._sink, self._failure = sink, None
        if self._sealer is not None:
            self._seal_later()

    def emit(self, event: AuditEvent | StatementEvent) -> None:
        """Keep `event`. Raises AuditUnavailable when that cannot be promised (58030)."""
        if self._failure is not None:
            self._keep_if_room(event)
            raise AuditUnavailable(self._failure)
        self._pending.append(event)
        self._chars += _size(event)
        if self._timer is None:
            self._schedule(self._delay_s)
        if len(self._pending) == _SOON_EVENTS and self._loop is not None:
            self._loop.call_soon(self._flush)
        if len(self._pending) >= self._flush_at or self._chars >= _BATCH_CHARS:
            self._flush()
            if self._failure is not None:
                raise AuditUnavailable(self._failure)

    def note(self, fields: dict[str, str | int | float]) -> None:
        """Write a line of another kind than what clients do, at once. Raises AuditUnavailable: it is not written."""
        self._flush()
        self.check()
        assert self._sink is not None
        try:
            self._append(self._sink, fields)
            self._seal_if_full(self._sink)
        except OSError as error:
            self._on_failure(error)
            self._schedule(_RETRY_S)
            raise AuditUnavailable(self._failure or "") from error
        self._on_success()

    def check(self) -> None:
        """Raise AuditUnavailable if a statement that starts now could not be recorded."""
        if self._failure is not None:
            raise AuditUnavailable(self._failure)

    @property
    def sealed_segments(self) -> int:
        """How many segments of the chain are sealed."""
        return 0 if self._sealer is None else self._sealer.until.segment

    def reopen(self) -> None:
        """Continue the chain in a new file after the old one was renamed (SIGHUP); harmless when it was not.

        Raises AuditUnavailable if the new file cannot be used; the old one is then kept.
        """
        if self._sink is None:
            raise AuditUnavailable("not started")
        self._flush()
        if self._sink.is_at(self._config.path):
            return
        self._seal_before_rotation(self._sink)
        try:
            sink = open_sink(self._config, self._sink)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._carry_on(sink)
        except (OSError, MalformedLine) as error:
            sink.close()
            raise self._unusable(error) from error
        self._replace_sink(sink)

    async def close(self) -> None:
        """Write what is queued and a `stopped` line, and close the file. What cannot be written is logged."""
        if self._sink is None:
            return
        self._sync_failed = False  # nothing is promised any more, so write what there is
        self._flush()
        if self._failure is None:
            self._append_stopped(self._sink)
        for timer in (self._timer, self._seal_timer):
            if timer is not None:
                timer.cancel()
        while self._sync is not None:
            await asyncio.gather(self._sync, return_exceptions=True)
        if self._pending or self._lost:
            _log.critical("audit events lost at shutdown", extra={"lost": len(self._pending) + self._lost})
        sink, self._sink, self._failure = self._sink, None, "closed"
        await self._anchors.finish()
        try:
            await asyncio.get_running_loop().run_in_executor(None, sink.close)
        except OSError as error:
            _log.critical("audit file could not be closed", extra={"path": sink.path, "error": error})

    # -- replies that wait for their events

    @property
    def emitted(self) -> int:
        """Events since the start, written or not."""
        return self.events + len(self._pending)

    @property
    def acknowledged(self) -> int:
        """How many of them are where a reply may rely on it."""
        return self._synced if self._syncs else self.events

    def _tell_waiting(self) -> None:
        acknowledged = self.acknowledged
        for waiter in tuple(self.waiting):
            waiter.release(acknowledged)

    # -- batches

    def _schedule(self, delay_s: float) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        """Write all pending events; a failure is remembered and tried again later."""
        if self._sink is None or self._sync_failed or not (self._pending or self._failure):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            self._write_pending(self._sink)
            self._seal_if_full(self._sink)
        except Exception as error:  # whatever it is: refuse statements and try again, never lose a batch
            self._on_failure(error)
            self._schedule(_RETRY_S)
            return
        self._on_success()

    def _write_pending(self, sink: FileSink) -> None:
        seq, prev = self._head.seq, self._head.hash
        lines: list[bytes] = []
        digests: list[str] = []
        for event in self._pending if self._concealer is None else self._concealer.conceal(self._pending):
            seq += 1
            line, prev = chain_event(event, seq, prev)
            lines.append(line)
            digests.append(prev)
        if self._failure is not None:
            seq += 1
            line, prev = chain_fields(self._gap(), seq, prev)
            lines.append(line)
        sink.append(b"".join(lines))
        self._head = ChainHead(seq, prev)
        if self._sealer is not None:
            segment = self._sealer.segment
            for event, digest in zip(self._pending, digests, strict=True):
                segment.add(digest, event.frame.tenant if isinstance(event, StatementEvent) else event.tenant)
            if self._failure is not None:
                segment.add(prev, "")
        self.events += len(self._pending)
        self._pending.clear()
        self._chars = self._lost = 0
        if self.waiting and not self._syncs:
            self._tell_waiting()

    def _gap(self) -> dict[str, str | int | float]:
        """The line that closes a time in which the file could not be written."""
        return {"event": "gap", "lost": self._lost, "reason": self._failure or "", "time": self._clock()}

    def _on_failure(self, error: Exception) -> None:
        if self._failure is None:
            _log.critical(
                "audit log cannot be written: statements are refused",
                extra={"path": self._config.path, "error": error, "queued": len(self._pending)},
            )
        first = self._failure is None
        self._failure = (error.strerror if isinstance(error, OSError) else None) or str(error) or "unknown"
        if first and self.on_trouble is not None:
            self.on_trouble(True)

    def _on_success(self) -> None:
        if self._failure is not None:
            _log.warning("audit log can be written again", extra={"path": self._config.path})
            self._failure = None
            if self.on_trouble is not None:
                self.on_trouble(False)
        if self._syncs:
            self._start_sync()

    def _keep_if_room(self, event: AuditEvent | StatementEvent) -> None:
        if self._sink is None:
            return
        if len(self._pending) < self._config.max_queue and self._chars < _KEPT_CHARS:
            self._pending.append(event)
            self._chars += _size(event)
        else:
            self._lost += 1
            self._lost_total += 1

    # -- seals

    def _seal_if_full(self, sink: FileSink) -> None:
        """Also at once after a gap."""
        if self._sealer is not None and (self._sealer.is_full or self._failure is not None):
            self._seal(sink)

    def _seal(self, sink: FileSink, *, final: bool = False) -> None:
        """Seal the open segment. On OSError it stays open."""
        sealer = self._sealer
        if sealer is None or sealer.is_bare:
            return
        for fields in sealer.new_tenants():
            self._append(sink, fields)
        sealer.told()
        seal = sealer.seal(self._head, self._clock(), final=final)
        self._append_chained(sink, seal)
        sealer.sealed(seal, self._head)
        self._anchors.put(seal)
        if self.on_sealed is not None:
            self.on_sealed()

    def _seal_later(self) -> None:
        assert self._loop is not None
        self._seal_timer = self._loop.call_later(self._config.seal_interval_s, self._on_seal_timer)

    def _on_seal_timer(self) -> None:
        self._seal_later()
        self._flush()
        if self._sink is None or self._failure is not None:
            return
        try:
            self._seal(self._sink)
        except OSError as error:
            self._on_failure(error)
            self._schedule(_RETRY_S)
            return
        self._on_success()

    def _seal_before_rotation(self, old: FileSink) -> None:
        """So that no segment is in two files. What cannot be sealed in the old one stays without a seal."""
        sealer = self._sealer
        if sealer is None:
            return
        try:
            self._seal(old)
        except OSError as error:
            _log.critical("rotated audit file ends without a seal", extra={"path": old.path, "error": error})
            sealer.begin(self._chain, self._head.seq + 1, sealer.until)

    # -- fsync, in a thread

    def _start_sync(self) -> None:
        if self._sync is not None:
            self._sync_again = True
            return
        assert self._loop is not None
        assert self._sink is not None
        self._sync_again = False
        self._syncing = self.events
        self._sync = self._loop.run_in_executor(None, sync_descriptor, self._sink.duplicate())
        self._sync.add_done_callback(self._on_synced)

    def _on_synced(self, sync: asyncio.Future[None]) -> None:
        self._sync = None
        error = None if sync.cancelled() else sync.exception()
        if isinstance(error, OSError):
            # The kernel may have dropped the pages, and a later fsync would succeed all the same: no retry here.
            self._sync_failed = True
            self._on_failure(error)
            for waiter in tuple(self.waiting):
                waiter.refuse()
            return
        self._synced = self._syncing
        if self.waiting:
            self._tell_waiting()
        if self._sync_again and self._sink is not None:
            self._start_sync()

    # -- files and their chains

    def _continue(self, sink: FileSink) -> None:
        """Take up the chain where an existing file ends, or begin a new one."""
        tail = sink.tail()
        steps: list[dict[str, str]] = []
        if tail.last_line:
            self._head = head_of(tail.last_line)
            self._chain = chain_id_of(sink.first_line())
        if tail.torn:
            _log.warning("audit log ends in an incomplete line", extra={"path": sink.path, "bytes": len(tail.torn)})
            sink.cut_torn(tail)
        if not tail.last_line:
            self._head = ChainHead()
            self._chain = secrets.token_hex(16)
            if self._sealer is not None:
                self._sealer.begin(self._chain, 1, SealedUntil())
            self._append_header(sink)
        elif self._sealer is not None:
            take_up(self._sealer, sink, self._chain, self._head)
            steps = handovers(self._sealer)
            if not self._sealer.until.key:
                self._append(sink, {"event": "sealing", **self._sealer.header})
        if tail.torn or (tail.last_line and not _is_end(tail.last_line)):
            self._append(sink, _recovered(tail))
        elif tail.last_line:
            self._append(sink, {"event": "resumed", "version": product_version()})
        for handover in steps:
            self._append(sink, {"event": "handover", **handover})
        if tail.torn or tail.last_line:
            self._seal(sink)  # what the next event relies on, and what may be missing, is signed

    def _carry_on(self, sink: FileSink) -> None:
        """Begin the file that follows a rotated one."""
        tail = sink.tail()
        if tail.last_line or tail.torn:
            raise OSError("the new audit file is not empty")
        self._append_header(sink)

    def _append_header(self, sink: FileSink) -> None:
        fields: dict[str, str | int | float] = {"event": "header", "chain": self._chain, "format": FORMAT}
        fields["version"] = product_version()
        if self._sealer is not None:
            self._sealer.begin_file()
            fields.update(self._sealer.header)
        self._append(sink, fields)
        if self._sealer is not None:
            for handover in self._sealer.key.handovers:
                self._append(sink, {"event": "handover", **handover.fields})

    def _append_stopped(self, sink: FileSink) -> None:
        try:
            self._append(sink, {"event": "stopped"})
            self._seal(sink, final=True)
        except OSError as error:
            self._on_failure(error)

    def _append(self, sink: FileSink, fields: dict[str, str | int | float]) -> None:
        fields["time"] = self._clock()
        self._append_chained(sink, fields)
        if self._sealer is not None:
            self._sealer.segment.add(self._head.hash, "")

    def _append_chained(self, sink: FileSink, fields: dict[str, str | int | float]) -> None:
        line, digest = chain_fields(fields, self._head.seq + 1, self._head.hash)
        sink.append(line)
        self._head = ChainHead(self._head.seq + 1, digest)

    def _replace_sink(self, sink: FileSink) -> None:
        old, self._sink = self._sink, sink
        self._sync_failed = False
        assert old is not None
        try:
            old.close()
        except OSError as error:
            _log.critical("rotated audit file could not be closed", extra={"path": old.path, "error": error})
        self._flush()

    def _unusable(self, error: OSError | MalformedLine) -> AuditUnavailable:
        _log.critical("audit log is unusable", extra={"path": self._config.path, "error": error})
        return AuditUnavailable(str(error))


def _size(event: AuditEvent | StatementEvent) -> int:
    """What an event holds, about, in characters or bytes."""
    size = len(event.statement) + len(event.rewritten)
    if isinstance(event, StatementEvent) and event.bound is not None:
        size += event.bound.size
    return size


def _parameter_key(config: AuditConfig, key: SigningKey | None) -> bytes:
    if config.parameter_key is not None:
        return config.parameter_key.encode()
    return secrets.token_bytes(32) if key is None else key.derived_secret("parameters")


def _is_end(line: bytes) -> bool:
    """Whether a gateway that stops cleanly writes this line last."""
    return b'"event":"stopped"' in line or (SEAL_MARK in line and b'"final":1' in line)


def _recovered(tail: Tail) -> dict[str, str | int | float]:
    """The line that tells that the run before was killed, with what it had half written."""
    fields: dict[str, str | int | float] = {"event": "recovered", "version": product_version()}
    fields["reason"] = "the gateway did not stop cleanly: events of its last flush interval may be missing"
    if tail.torn:
        fields["torn"] = tail.torn[:_TORN_TEXT_BYTES].decode("utf-8", "backslashreplace")
        fields["torn_bytes"] = len(tail.torn)
        fields["torn_sha256"] = hashlib.sha256(tail.torn).hexdigest()
    return fields
