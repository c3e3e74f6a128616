"""The admin database `tenantgate`: PgBouncer-style SHOW commands, answered without any target, and KILL.

Columns have PgBouncer's names where they mean the same. Nothing secret is shown: no passwords, tokens, statement
texts or cancel keys. Who may log in to it (`gateway:*:read`) and who may KILL (`gateway:*:admin`) is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Protocol

from policy.model import Principal
from proxy.observe.version import product_version
from proxy.postgres.wire import replies

_TEXT, _INT8, _BOOL = 25, 20, 16
_OIDS = {"str": _TEXT, "str | None": _TEXT, "Moment": _TEXT, "int": _INT8, "int | None": _INT8, "bool": _BOOL}
_HINT = "SHOW HELP lists the commands of this database."

Moment = float | None  # seconds since the epoch, shown as UTC


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One pool: sessions (cl_) and backends (sv_). maxwait, maxwait_us: how long the one that came first has been
    waiting, seconds and the microseconds beyond."""

    target: str
    database: str
    search_path: str
    user: str
    cl_active: int
    cl_waiting: int
    sv_active: int
    sv_idle: int
    sv_login: int
    maxwait: int
    maxwait_us: int
    pool_size: int
    pool_mode: str = "transaction"
    claim: str = ""  # under the second lock: whose backends these are


@dataclass(frozen=True, slots=True)
class TenantRow:
    """One tenant of the policy in force and what it uses now, sv_active: backends that its sessions hold; None in a
    max_ column is unlimited."""

    tenant: str
    isolation: str
    target: str
    database: str
    schema: str | None
    status: str
    tier: str
    cl_active: int
    max_connections: int | None
    statements_active: int
    max_statements: int | None
    sv_active: int
    max_backends: int | None


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One session. link is the pid of the backend that it holds, 0: none. state: login | idle | active | waiting, for
    a backend, since wait seconds and wait_us microseconds."""

    session: str
    user: str
    tenant: str | None
    database: str
    state: str
    addr: str
    port: int
    connect_time: Moment
    request_time: Moment
    wait: int
    wait_us: int
    link: int
    tls: str
    application_name: str


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One backend. link is the session that holds it, empty: none. state: idle | active | lane."""

    target: str
    database: str
    user: str
    state: str
    addr: str
    port: int
    connect_time: Moment
    request_time: Moment
    remote_pid: int
    link: str
    tls: str


@dataclass(frozen=True, slots=True)
class StatsRow:
    """Totals of one tenant since the gateway started; times in microseconds."""

    tenant: str
    database: str
    total_query_count: int
    total_error_count: int
    total_refused_count: int
    total_received: int
    total_sent: int
    total_query_time: int
    avg_query_time: int


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The policy in force, of each worker. source: document, or store. state: current, away (the store cannot be read),
    refused (what it says cannot be used). age_ms: since when nobody could say that it is the newest. serving: whether
    it is younger than max_age."""

    worker: int
    source: str
    version: int
    state: str
    age_ms: int
    max_age_ms: int | None
    serving: bool
    problem: str


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """One quota of one tenant, as SHOW QUOTA tells the tenant itself. used: None where nothing is counted."""

    tenant: str
    quota: str
    limit: str | None
    used: str | None
    percent: str | None
    resets_at: str | None
    mode: str


class ConsoleState(Protocol):
    """What the console shows; the server implements it."""

    def pool_rows(self) -> Iterable[PoolRow]: ...

    def tenant_rows(self) -> Iterable[TenantRow]: ...

    def client_rows(self) -> Iterable[ClientRow]: ...

    def server_rows(self) -> Iterable[ServerRow]: ...

    def stats_rows(self) -> Iterable[StatsRow]: ...

    def policy_rows(self) -> Iterable[PolicyRow]: ...

    def quota_rows(self) -> Iterable[QuotaRow]: ...

    def may_kill(self, principal: Principal) -> bool: ...

    def kill(self, session: str) -> int: ...


@dataclass(frozen=True, slots=True)
class _VersionRow:
    version: str


@dataclass(frozen=True, slots=True)
class _HelpRow:
    command: str
    description: str


Row = PoolRow | TenantRow | ClientRow | ServerRow | StatsRow | PolicyRow | QuotaRow | _VersionRow | _HelpRow


@dataclass(frozen=True, slots=True)
class _View:
    """One SHOW command: the type of its rows, where they come from, and its line in the help."""

    row: type[Row]
    rows: Callable[[ConsoleState], Iterable[Row]]
    description: str


def view_of(sql: str) -> str | bytes:
    """The view that a command wants to see, or the reply to a text that is no command."""
    words = _words(sql)
    if words is None:
        return _refused("more than one command at a time, or quotes, which no command needs")
    if not words:
        return replies.EMPTY_QUERY
    if words[0] != "SHOW":
        return _refused(f'unknown command "{words[0]}"')
    if len(words) != 2 or words[1] not in _VIEWS:
        return _refused(f'unknown command "{" ".join(words)}"')
    return words[1]


def session_to_kill(sql: str) -> str | None:
    """The session that a KILL command names, as SHOW CLIENTS has it in column session; None: another command."""
    words = _words(sql)
    return words[1].lower() if words and len(words) == 2 and words[0] == "KILL" else None


def kill_refused() -> bytes:
    return replies.error_response("ERROR", "42501", "KILL needs permission gateway:*:admin", hint=_HINT)


def killed(count: int, session: str) -> bytes:
    """The reply to a KILL that ended so many sessions."""
    if count:
        return replies.command_complete(f"KILL {count}")
    return replies.error_response("ERROR", "42704", f'no session "{session}"', hint="SHOW CLIENTS lists the sessions.")


def rows_of(view: str, state: ConsoleState) -> Iterable[Row]:
    return _VIEWS[view].rows(state)


def row_type(view: str) -> type[Row]:
    return _VIEWS[view].row


def _words(sql: str) -> list[str] | None:
    """The command's words in upper case; None for what no command of ours can be."""
    text = re.sub(r"--[^\r\n]*", " ", sql).strip().rstrip("; \t\r\n")
    if re.search(r"[;'\"]", text):
        return None
    return [word[:63].upper() for word in text.split()[:8]]


def _refused(message: str) -> bytes:
    return replies.error_response("ERROR", "42601", f"admin console: {message}", hint=_HINT)


def table(view: str, rows: Iterable[Row]) -> bytes:
    """The reply that shows these rows."""
    columns = fields(row_type(view))
    names = [column.name for column in columns]
    parts = [replies.row_description([(column.name, _OIDS[str(column.type)]) for column in columns])]
    moments = frozenset(column.name for column in columns if column.type == "Moment")
    for row in rows:
        parts.append(replies.data_row(_values(row, names, moments)))
    parts.append(replies.command_complete("SHOW"))
    return b"".join(parts)


def _values(row: Row, names: Sequence[str], moments: frozenset[str]) -> list[bytes | None]:
    return [_value(getattr(row, name), name in moments) for name in names]


def _value(value: str | int | float | bool | None, is_moment: bool) -> bytes | None:
    if value is None:
        return None
    if is_moment:
        moment = datetime.fromtimestamp(float(value), UTC)
        return moment.strftime("%Y-%m-%d %H:%M:%S UTC").encode()
    if isinstance(value, bool):
        return b"t" if value else b"f"
    return str(value).replace("\0", "").encode("utf-8", "replace")


_VIEWS = {
    "POOLS": _View(PoolRow, lambda state: state.pool_rows(), "pools of backends per target, database, search_path"),
    "TENANTS": _View(TenantRow, lambda state: state.tenant_rows(), "tenants with their limits and current use"),
    "CLIENTS": _View(ClientRow, lambda state: state.client_rows(), "sessions of clients"),
    "SERVERS": _View(ServerRow, lambda state: state.server_rows(), "backends, that is, connections to targets"),
    "STATS": _View(StatsRow, lambda state: state.stats_rows(), "totals per tenant since the start"),
    "POLICY": _View(PolicyRow, lambda state: state.policy_rows(), "version and age of the policy in force"),
    "QUOTAS": _View(QuotaRow, lambda state: state.quota_rows(), "quotas of tenants and what is used of them"),
    "VERSION": _View(_VersionRow, lambda _: [_VersionRow(f"TenantGate {product_version()}")], "version of the gateway"),
    "HELP": _View(_HelpRow, lambda _: _help(), "this list"),
}


def _help() -> list[_HelpRow]:
    shows = [_HelpRow(f"SHOW {name}", view.description) for name, view in _VIEWS.items()]
    return [*shows, _HelpRow("KILL session", "end a session of a client, by its name in SHOW CLIENTS")]
