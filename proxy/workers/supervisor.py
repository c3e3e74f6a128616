"""The process that owns the listeners and keeps the workers: starts them, starts a dead one again, reloads, drains.

It never looks at a client's bytes. It holds every listener itself, so that connections in the queue of a worker that
was killed wait for the next one. On SIGUSR2 it becomes the image that is installed now, which starts workers of its own
on the same listeners and lets the old ones drain when those are ready.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from policy.entries import Batch
from policy.errors import ConfigurationError, TenantGateError
from policy.snapshot import Snapshot
from proxy.cancel import seat_of
from proxy.config import GatewayConfig
from proxy.config_file import load_config
from proxy.config_policy import check_same_source
from proxy.listeners import bind_admin, bind_shared
from proxy.observe.http import serve_http
from proxy.observe.logs import configure_logging
from proxy.policy_feed.first import follow
from proxy.policy_feed.follower import Follower
from proxy.policy_feed.standing import Standing
from proxy.quota_shares import ShareKeeper
from proxy.quota_state import StateFile, state_path
from proxy.snapshots import load_snapshot
from proxy.tls import server_context
from proxy.workers.channel import Answer, Message
from proxy.workers.diary import Diary
from proxy.workers.merged import Merged
from proxy.workers.orders import decode_orders, encode_batch, encode_orders, keep_fixed, refuse_small_shares
from proxy.workers.overview import Overview
from proxy.workers.process import Process, environment, start_process
from proxy.workers.subjects import Subjects
from proxy.workers.table import SEATS, QuotaTable, create_table, is_table
from proxy.workers.takeover import hand_over, settle, take_over

logger = logging.getLogger(__name__)

_START_TIMEOUT_S = 60.0
_TAKE_TIMEOUT_S = 60.0
_KILL_AFTER_S = 15.0  # beyond the drain time
_STANDING_S = 0.5  # between two reports that all is well with the policy's store
_STEADY_S = 10.0  # one that has lived so long is started again at once
_BACKOFF_S, _MAX_BACKOFF_S = 0.1, 10.0


def run(config_path: Path, config: GatewayConfig) -> int:
    """Serve until told to stop. Returns the process's exit code: 0 stopped, 2 it cannot serve."""
    return _run(Supervisor(config_path).serve(config))


def resume(config_path: Path) -> int:
    """The same, in the place of an image of this process that has served so far."""
    left = take_over()
    assert left is not None
    return _run(Supervisor(config_path).serve_on(left))


def _run(serving: Coroutine[object, object, None]) -> int:
    try:
        asyncio.run(serving)
    except (ConfigurationError, TenantGateError, OSError) as error:
        logger.error("cannot serve: %s", error)
        return 2
    return 0


class CannotStart(TenantGateError):
    """A worker has not come up; its own log line says why."""


class Supervisor:
    """Lifetime: the process, until it is replaced. `_processes`: by seat, those of all generations."""

    def __init__(self, config_path: Path) -> None:
        self._config_path = config_path
        self._processes: dict[int, Process] = {}
        self._listeners: list[socket.socket] = []
        self._failures: dict[int, int] = {}  # by seat: how often in a row it ended soon
        self._tasks: set[asyncio.Task[None]] = set()
        self._version = 1
        self._restarts = 0
        self._merged = Merged()
        self._subjects = Subjects()
        self._changing = False
        self._follower: Follower | None = None
        self._snapshot: Snapshot | None = None  # None: what `_encoded` holds, of an image before
        self._encoded: bytes | None = None
        self._standing_told = 0.0
        self._new_table = False  # nobody has used it yet
        self._shares: ShareKeeper | None = None

    # Start

    async def serve(self, config: GatewayConfig) -> None:
        """Start all workers, serve, stop. Raises OSError or TenantGateError when it cannot start."""
        self._config = config
        self._follower = follow(config, lambda: self._config)
        if self._follower is not None:
            snapshot = await self._follower.begin()
        else:
            snapshot = await _read_policy(config, self._version)
        server_context(config.tls)
        self._give_orders(config, snapshot)
        self._listeners = bind_shared(config.listen, config.workers)
        self._admin = bind_admin(config.listen)
        self._table_descriptor = create_table()
        self._new_table = True
        self._diary = Diary(config.audit)
        self._begin()
        try:
            await self._start_all(config, self._orders, self._listeners)
        except BaseException:
            await self._stop_all(0)
            raise
        self._assign_listeners()
        self._spawn(self._follow())
        await self._serve_until_stopped()

    async def serve_on(self, left: Message) -> None:
        """Go on with what another image has left, then renew all workers."""
        fields = left.fields
        self._encoded = left.payload
        self._config = self._config_of_old(left)
        configure_logging(self._config.log)
        self._diary = Diary(self._config.audit)
        self._listeners = [_inherited(number) for number in fields["listeners"]]
        self._admin = _inherited(fields["admin"])
        self._table_descriptor = fields["table"]
        if not is_table(self._table_descriptor):
            self._table_descriptor = create_table()
            self._new_table = True
        os.set_inheritable(self._table_descriptor, False)
        self._version, self._restarts = fields["version"], fields["restarts"]
        self._merged = Merged(fields["retired"])
        self._subjects = Subjects(fields.get("subjects", ()))
        for state in fields["workers"]:
            os.set_inheritable(state["control"], False)
            rest = bytes.fromhex(state.pop("rest"))
            process = self._processes[state["seat"]] = Process(**state)
            await process.connect(partial(self._handle, process), rest)
        await self._follow_on(left)
        self._begin()
        self._spawn(self._follow())
        self._spawn(self._renew())
        await self._serve_until_stopped()

    async def _follow_on(self, left: Message) -> None:
        """Follow the policy's store from where the image before was, for the workers that it left have that policy."""
        follower = follow(self._config, lambda: self._config)
        if follower is None:
            return
        snapshot = _snapshot_of_old(left) if left.fields.get("store") == self._config.policy.store else None
        try:
            if snapshot is not None:
                follower.go_on_from(snapshot)
            else:
                snapshot = await follower.begin()
        except TenantGateError as error:
            logger.error("the policy store is not followed: %s", error.message)
        else:
            self._follower, self._snapshot = follower, snapshot

    def _config_of_old(self, left: Message) -> GatewayConfig:
        """The configuration that the old workers go by: as it is now, but for what they cannot have changed. If it has
        just become unusable, their own, which an older program may have written."""
        try:
            config = load_config(self._config_path, os.environ)
        except ConfigurationError:
            config = decode_orders(left.payload)[0]
        host, port = left.fields["address"]
        return replace(
            config,
            workers=left.fields["count"],
            listen=replace(config.listen, host=host, port=port),
            audit=replace(config.audit, path=Path(left.fields["audit_path"])),
        )

    def _begin(self) -> None:
        self._table = QuotaTable(self._table_descriptor, 0)
        self._state = StateFile(state_path(self._config))
        if self._new_table:
            self._state.load(self._table)
        self._spawn(self._state.keep(self._table))
        redis = self._config.quotas.redis
        if redis is not None:
            self._shares = ShareKeeper(redis, self._table, lambda: self._snapshot)
            self._spawn(self._shares.keep())
        self._stop = asyncio.Event()
        self._diary.start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGCHLD, self._on_child)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload()))
        loop.add_signal_handler(signal.SIGUSR2, lambda: self._spawn(self._restart()))
        settle()
        self._on_child()

    def _give_orders(self, config: GatewayConfig, snapshot: Snapshot) -> None:
        """From now on these are in force for workers that start."""
        self._config, self._snapshot, self._encoded = config, snapshot, None
        self._version = snapshot.version

    @property
    def _orders(self) -> bytes:
        """What is in force, encoded when it is first asked for."""
        if self._encoded is None:
            assert self._snapshot is not None
            self._encoded = encode_orders(self._config, self._snapshot)
        return self._encoded

    async def _follow(self) -> None:
        """As long as the process lives: hand on what the policy's store says, if there is one."""
        if self._follower is None:
            return
        try:
            await self._follower.run(self._take_snapshot, self._tell_standing)
        finally:
            await self._follower.close()

    def _take_snapshot(self, snapshot: Snapshot, batch: Batch) -> None:
        """To all workers, also to those that are leaving: whom the policy does not let in any more may be there."""
        self._give_orders(self._config, snapshot)
        kind, payload = ("entries", encode_batch(batch)) if batch.base else ("take", self._orders)
        for process in self._processes.values():
            process.tell(kind, payload)

    def _tell_standing(self, standing: Standing) -> None:
        now = time.monotonic()
        if standing.state == "current" and now - self._standing_told < _STANDING_S:
            return
        self._standing_told = now
        for process in self._processes.values():
            process.tell("standing", **asdict(standing))

    async def _serve_until_stopped(self) -> None:
        overview = Overview(self._processes, self._merged, lambda: self._restarts, self._stop.is_set, self._shares)
        listen = self._config.listen
        http = await serve_http(listen.admin_host, listen.admin_port, overview.routes(), sock=self._admin)
        address, admin = self._listeners[0].getsockname(), self._admin.getsockname()
        logger.info(
            "serving",
            extra={
                "address": f"{address[0]}:{address[1]}",
                "admin": f"{admin[0]}:{admin[1]}",
                "workers": len(self._current()),
                "tls": self._config.tls.mode,
            },
        )
        await self._stop.wait()
        await self._stop_all(self._config.limits.drain_s)
        http.close()
        logger.info("stopped")

    async def _stop_all(self, drain_s: float) -> None:
        """No more connections; every worker drains; those that take too long are killed."""
        self._stop.set()
        for listener in self._listeners:
            listener.close()
        await self._end(tuple(self._processes.values()), drain_s)
        if self._shares is not None:
            await self._shares.close()
            self._shares = None
        self._state.save(self._table)
        await self._diary.close()

    async def _end(self, processes: Sequence[Process], drain_s: float) -> None:
        """Let these drain, kill those that take too long, and return when they are gone."""
        for process in processes:
            process.leaving = True
            process.signal(signal.SIGTERM)
        deadline = time.monotonic() + drain_s + _KILL_AFTER_S
        while left := [process for process in processes if self._processes.get(process.seat) is process]:
            if time.monotonic() > deadline:
                deadline = math.inf
                for process in left:
                    logger.error("a worker does not stop and is killed", extra={"worker": process.seat})
                    process.signal(signal.SIGKILL)
            await asyncio.sleep(0.02)

    # Workers

    def _current(self) -> list[Process]:
        return [process for process in self._processes.values() if not process.leaving]

    def _free_seats(self) -> Iterable[int]:
        return (seat for seat in range(1, SEATS) if seat not in self._processes)

    def _assign_listeners(self) -> None:
        """Each listener has one worker that accepts from it. Those of a worker that has ended go to others, so that
        nobody waits in its queue until the next one is ready."""
        serving = sorted((p for p in self._current() if p.serving), key=lambda process: process.index)
        for listener in self._listeners if serving else ():
            listener.listen(self._config.listen.backlog)  # one more than before would be given connections from now on
        for number, process in enumerate(serving):
            own = [listener.fileno() for at, listener in enumerate(self._listeners) if at % len(serving) == number]
            process.tell("accept", listeners=own)

    async def _start_all(self, config: GatewayConfig, orders: bytes, listeners: Sequence[socket.socket]) -> None:
        """Start a whole generation. Raises CannotStart when not all of it comes up; it is stopped again then."""
        started: list[Process] = []
        try:
            for seat, index in list(zip(self._free_seats(), range(config.workers), strict=False)):
                started.append(await self._start(seat, index, config.workers, orders, listeners))
            async with asyncio.timeout(_START_TIMEOUT_S):
                ready = all(await asyncio.gather(*(process.arrived for process in started)))
        except (TimeoutError, OSError) as error:
            logger.error("cannot start workers: %s", error or "they take too long")
            ready = False
        if not ready:
            await self._end(started, 0)
            raise CannotStart("a worker did not start")
        for process in started:
            process.serving = True

    async def _start(
        self, seat: int, index: int, count: int, orders: bytes, listeners: Sequence[socket.socket]
    ) -> Process:
        """Start one worker. Raises OSError."""
        table, numbers = self._table_descriptor, [listener.fileno() for listener in listeners]
        process = start_process(seat, index, [table, *numbers])
        self._processes[seat] = process
        await process.connect(partial(self._handle, process))
        process.tell("begin", orders, seat=seat, index=index, count=count, table=table, listeners=numbers)
        return process

    def _on_child(self) -> None:
        for process in tuple(self._processes.values()):
            status = None if process.ended else process.status()
            if status is not None:
                process.ended = True
                self._spawn(self._bury(process, status))

    async def _bury(self, process: Process, status: int) -> None:
        """A worker has ended: keep what it counted, and start another in its place unless it was to leave."""
        process.serving = False
        self._assign_listeners()
        self._table.clear_seat(process.seat)
        self._subjects.clear_seat(process.seat)
        if process.channel is not None:
            await process.channel.wait_lost(1.0)
        self._merged.retire(process.report)
        del self._processes[process.seat]
        process.forget()
        unexpected = not process.leaving and not self._stop.is_set()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        self._diary.ended(process, how, expected=not unexpected)
        was_ready = process.ready
        process.arrive(False)
        if not unexpected:
            logger.info("worker stopped", extra={"worker": process.seat, "pid": process.pid})
        elif was_ready:
            logger.error("worker ended, starting another", extra={"worker": process.seat, "reason": how})
            await self._start_again(process)
        else:
            logger.error("worker did not start", extra={"worker": process.seat, "reason": how})
            if process.again:
                await self._start_again(process)

    async def _start_again(self, dead: Process) -> None:
        """Another worker on the same seat: at once, or after a while when the last ones ended soon."""
        if time.monotonic() - dead.started_at > _STEADY_S:
            self._failures.pop(dead.seat, None)
        failures = self._failures.get(dead.seat, 0)
        self._failures[dead.seat] = failures + 1
        if failures:
            await asyncio.sleep(min(_MAX_BACKOFF_S, _BACKOFF_S * 2**failures))
        if self._stop.is_set():
            return
        self._restarts += 1
        process = await self._start(dead.seat, dead.index, self._config.workers, self._orders, self._listeners)
        process.again = True

    async def _handle(self, process: Process, message: Message) -> Answer:
        """What a worker says or asks."""
        if message.kind == "ready":
            process.chain = message.fields
            self._diary.started(process)
            process.arrive(True)
            if self._follower is not None:
                process.tell("standing", **asdict(self._follower.standing))
            if process.again:
                process.serving = True
                self._assign_listeners()
        elif message.kind == "behind":
            process.tell("take", self._orders)
        elif message.kind == "sealed":
            process.chain = message.fields
            self._diary.sealed(process)
        elif message.kind == "going":  # perhaps somebody else told it to
            process.serving = False
            self._assign_listeners()
        elif message.kind == "bye":
            process.chain, process.report = message.fields, message.fields["families"]
        elif message.kind == "cancel":
            await self._hand_cancel_on(message)
        elif message.kind == "rows":
            return {"rows": await self._rows(message.fields["view"])}
        elif message.kind == "enter":
            return {"users": self._subjects.enter(process.seat, **message.fields_of("tenant", "subject", "limit"))}
        elif message.kind == "left":
            self._subjects.leave(process.seat, **message.fields_of("tenant", "subject"))
        elif message.kind == "kill":
            return {"killed": sum(a["killed"] for a in await self._ask_all("kill", session=message.fields["session"]))}
        return {}

    async def _hand_cancel_on(self, message: Message) -> None:
        process = self._processes.get(seat_of(message.fields["pid"]))
        if process is not None and process.channel is not None:
            await process.channel.ask("cancel", pid=message.fields["pid"], key=message.fields["key"])

    async def _rows(self, view: str) -> list[object]:
        return [answer["rows"] for answer in await self._ask_all("rows", view=view)]

    async def _ask_all(self, kind: str, **fields: Any) -> list[Answer]:
        """The answers of all workers that give one."""
        channels = [p.channel for p in self._processes.values() if p.channel is not None and p.ready]
        answers = await asyncio.gather(*(c.ask(kind, **fields) for c in channels), return_exceptions=True)
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    # Changes

    async def _reload(self) -> None:
        """SIGHUP: read configuration, policy and certificates again and give them to all workers; all or nothing."""
        if self._changing:
            logger.warning("a reload or restart is under way: this one comes after it")
        while self._changing:
            await asyncio.sleep(0.02)
        self._changing = True
        try:
            config = await asyncio.to_thread(load_config, self._config_path, os.environ)
            config = keep_fixed(config, self._config)
            check_same_source(config.policy, self._config.policy)
            snapshot = await self._newest_policy(config)
            server_context(config.tls)
        except TenantGateError as error:
            logger.error("reload refused, nothing changed: %s", error.message)
            return
        finally:
            self._changing = False
        self._give_orders(config, snapshot if self._follower is None else self._follower.snapshot)
        refused = await self._tell_all(self._orders)
        self._diary.reopen(self._current())
        if refused:
            logger.error("reload refused by a worker", extra={"refused": refused})
        logger.info("reloaded", extra={"policy_version": self._version, "tenants": len(snapshot.tenants)})

    async def _newest_policy(self, config: GatewayConfig) -> Snapshot:
        """The document as it is now, or what the store last said. Raises TenantGateError."""
        if self._follower is not None:
            return self._follower.snapshot
        return await _read_policy(config, self._version + 1)

    async def _tell_all(self, orders: bytes) -> list[str]:
        """Give new orders to every worker that serves; what those said that did not take them."""
        channels = [process.channel for process in self._current() if process.channel is not None]
        answers = await asyncio.gather(
            *(c.ask("take", orders, timeout_s=_TAKE_TIMEOUT_S) for c in channels), return_exceptions=True
        )
        return [
            "no answer" if isinstance(answer, BaseException) else str(answer["error"])
            for answer in answers
            if isinstance(answer, BaseException) or "error" in answer
        ]

    async def _restart(self) -> None:
        """SIGUSR2: become the image that is installed now, if that one can serve."""
        if self._changing or any(process.leaving or not process.ready for process in self._processes.values()):
            logger.error("restart refused: workers of the last one are still draining, or one is not ready")
            return
        self._changing = True
        try:
            problem = await self._check_image()
            if problem is not None:
                logger.error("restart refused, nothing changed: %s", problem)
                return
            await self._hand_over()
        finally:
            self._changing = False

    async def _check_image(self) -> str | None:
        """What is wrong with the image and the configuration that are there now."""
        check = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "proxy.workers.check", str(self._config_path),
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env=environment(),
        )  # fmt: skip
        _, said = await check.communicate()
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return None if check.returncode == 0 else (lines[-1] if lines else f"exit status {check.returncode}")

    async def _hand_over(self) -> None:
        channels = [process.channel for process in self._processes.values() if process.channel is not None]
        for channel in channels:
            channel.pause()
        while not all(channel.is_flushed or channel.lost for channel in channels):
            await asyncio.sleep(0.01)
        await self._diary.close()
        logger.info("handing over", extra={"pid": os.getpid()})
        state = {
            "listeners": [listener.fileno() for listener in self._listeners],
            "admin": self._admin.fileno(),
            "table": self._table_descriptor,
            "count": self._config.workers,
            "address": (self._config.listen.host, self._config.listen.port),
            "audit_path": str(self._config.audit.path),
            "version": self._version,
            "store": self._config.policy.store,
            "restarts": self._restarts,
            "retired": self._merged.retired,
            "subjects": self._subjects.entries(),
            "workers": [process.state() for process in self._processes.values()],
        }
        sockets = [*self._listeners, self._admin]
        controls = [process.control for process in self._processes.values()]
        try:
            hand_over(state, self._orders, [*(s.fileno() for s in sockets), self._table_descriptor, *controls])
        except OSError as error:
            logger.error("restart failed, nothing changed: %s", error)
            self._diary.start()
            for channel in channels:
                channel.resume()

    async def _renew(self) -> None:
        """Workers of this image instead of those that another has left; when it cannot, those go on."""
        self._changing = True
        old, diary = tuple(self._processes.values()), self._diary
        try:
            config = await asyncio.to_thread(load_config, self._config_path, os.environ)
            check_same_source(config.policy, self._config.policy)
            snapshot = await self._newest_policy(config)
            listeners = self._listeners_for(config)
            orders = encode_orders(config, snapshot)
            if config.audit.path != diary.path:
                self._diary = Diary(config.audit)
                self._diary.start()
            await self._start_all(config, orders, listeners)
        except (TenantGateError, OSError) as error:
            logger.error("restart failed, the old workers go on: %s", error)
            diary, self._diary = self._diary, diary
            return
        finally:
            self._changing = False
            if diary is not self._diary:
                await diary.close()
        stale = [listener for listener in self._listeners if listener not in listeners]
        self._listeners = listeners
        self._give_orders(config, snapshot if self._follower is None else self._follower.snapshot)
        for listener in stale:
            listener.close()
        for process in old:
            process.leaving = True
        self._assign_listeners()
        for process in old:
            process.tell("leave")
        logger.info("restarted", extra={"workers": config.workers, "policy_version": self._version})

    def _listeners_for(self, config: GatewayConfig) -> list[socket.socket]:
        """The listeners that are there, and more for more workers; others for another address."""
        listen = self._config.listen
        if (config.listen.host, config.listen.port) != (listen.host, listen.port):
            return bind_shared(config.listen, config.workers)
        port = int(self._listeners[0].getsockname()[1])
        missing = max(0, config.workers - len(self._listeners))
        return [*self._listeners, *bind_shared(config.listen, missing, port)]

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("unexpected error", exc_info=error)


async def _read_policy(config: GatewayConfig, version: int) -> Snapshot:
    """Raises ConfigurationError, also for what leaves a worker nothing."""
    snapshot = await load_snapshot(config, version)
    refuse_small_shares(config, snapshot)
    return snapshot


def _snapshot_of_old(left: Message) -> Snapshot | None:
    """The policy that another image of this process has left; None: it was another program's, and cannot be read."""
    try:
        return replace(decode_orders(left.payload)[1])  # which misses what an older program did not have
    except Exception as error:
        logger.warning("the policy of before cannot be read: %s", error)
        return None


def _inherited(number: int) -> socket.socket:
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)
