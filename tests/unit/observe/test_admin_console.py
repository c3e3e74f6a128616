"""The admin console's replies, decoded from the wire."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest

from policy.model import Principal
from proxy.postgres.admin_console import (
    ClientRow,
    ConsoleState,
    PolicyRow,
    PoolRow,
    QuotaRow,
    ServerRow,
    StatsRow,
    TenantRow,
    rows_of,
    session_to_kill,
    view_of,
)
from proxy.postgres.admin_console import table as table_of


class State:
    """A gateway with one of everything."""

    def pool_rows(self) -> Iterable[PoolRow]:
        return [PoolRow("main", "shop", "public", "gateway", 3, 1, 3, 2, 0, 2, 1500, 20)]

    def tenant_rows(self) -> Iterable[TenantRow]:
        return [TenantRow("acme", "shared", "main", "shop", None, "active", "gold", 3, 10, 1, None, 2, 5)]

    def client_rows(self) -> Iterable[ClientRow]:
        return [
            ClientRow(
                "s-1", "alice", "acme", "acme", "active", "127.0.0.1", 5000, 0.0, None, 0, 0, 42, "TLSv1.3", "p\0sql"
            )
        ]

    def server_rows(self) -> Iterable[ServerRow]:
        return []

    def stats_rows(self) -> Iterable[StatsRow]:
        return [StatsRow("acme", "acme", 1, 2, 3, 4, 5, 6, 7)]

    def policy_rows(self) -> Iterable[PolicyRow]:
        return [PolicyRow(0, "store", 7, "away", 1500, 60_000, True, "it is away")]

    def quota_rows(self) -> Iterable[QuotaRow]:
        return [QuotaRow("acme", "rows per day", "1000", "7", "0.7", "2026-11-29 00:00:00 UTC", "hard")]

    def may_kill(self, principal: Principal) -> bool:
        return "killer" in principal.roles

    def kill(self, session: str) -> int:
        return int(session == "s-1")


STATE: ConsoleState = State()


def respond(sql: str, state: ConsoleState) -> bytes:
    view = view_of(sql)
    return view if isinstance(view, bytes) else table_of(view, rows_of(view, state))


def messages(data: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    while data:
        (length,) = struct.unpack_from("!I", data, 1)
        found.append((data[:1], data[5 : length + 1]))
        data = data[length + 1 :]
    return found


def table(sql: str) -> tuple[dict[str, int], list[list[bytes | None]]]:
    """Columns with their type OIDs, and rows."""
    described, *rows, complete = messages(respond(sql, STATE))
    assert described[0] == b"T"
    assert complete == (b"C", b"SHOW\0")
    assert {tag for tag, _ in rows} <= {b"D"}
    return columns(described[1]), [values(body) for _, body in rows]


def columns(body: bytes) -> dict[str, int]:
    found, at = {}, 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        end = body.index(0, at)
        found[body[at:end].decode()] = struct.unpack_from("!I", body, end + 7)[0]
        at = end + 19
    return found


def values(body: bytes) -> list[bytes | None]:
    found: list[bytes | None] = []
    at = 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        found.append(None if length < 0 else body[at : at + length])
        at += max(length, 0)
    return found


@pytest.mark.parametrize("sql", ["SHOW POOLS", "show pools;", "  Show\n\tPools ; ;\n", "SHOW POOLS -- now\n"])
def test_show_pools_in_any_spelling(sql: str) -> None:
    names, rows = table(sql)
    assert {"database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "pool_mode"} <= set(names)
    assert (names["database"], names["cl_active"]) == (25, 20)
    assert dict(zip(names, rows[0], strict=True))["cl_active"] == b"3"


def test_nulls_times_and_null_bytes() -> None:
    names, rows = table("SHOW CLIENTS")
    row = dict(zip(names, rows[0], strict=True))
    assert row["connect_time"] == b"1970-01-01 00:00:00 UTC"
    assert row["request_time"] is None
    assert row["application_name"] == b"psql"
    names, rows = table("SHOW TENANTS")
    row = dict(zip(names, rows[0], strict=True))
    assert (row["schema"], row["max_connections"], row["max_statements"]) == (None, b"10", None)


def test_an_empty_table_has_columns() -> None:
    names, rows = table("SHOW SERVERS")
    assert "remote_pid" in names
    assert rows == []


def test_stats_and_version() -> None:
    assert table("SHOW STATS")[1][0][2:] == [b"1", b"2", b"3", b"4", b"5", b"6", b"7"]
    assert str(table("SHOW VERSION")[1][0][0]).startswith("b'TenantGate ")


def test_every_command_of_the_help_works() -> None:
    commands = [row[0] for row in table("SHOW HELP")[1]]
    assert len(commands) == 10
    for command in commands[:-1]:
        assert command is not None
        assert table(command.decode())[0]


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW",
        "SHOW CONFIG",
        "SHOW POOLS CLIENTS",
        "SELECT 1",
        "SHOW POOLS; SHOW STATS",
        "KILL 'x'",
        "\\d",
        "x" * 100_000,
    ],
)
def test_anything_else_is_a_syntax_error_with_a_hint(sql: str) -> None:
    ((tag, body),) = messages(respond(sql, STATE))
    fields = {item[:1]: item[1:] for item in body.split(b"\0") if item}
    assert tag == b"E"
    assert fields[b"C"] == b"42601"
    assert fields[b"H"].startswith(b"SHOW HELP")
    assert len(body) < 1000


@pytest.mark.parametrize("sql", ["KILL s-1", "kill S-1;", " Kill\ts-1 -- now"])
def test_kill_names_a_session_in_any_spelling(sql: str) -> None:
    assert session_to_kill(sql) == "s-1"


@pytest.mark.parametrize("sql", ["KILL", "KILL a b", "KILL 'a'", "KILL a; KILL b", "SHOW CLIENTS", ""])
def test_what_names_no_one_session_kills_none(sql: str) -> None:
    assert session_to_kill(sql) is None


@pytest.mark.parametrize("sql", ["", ";", " -- nothing"])
def test_an_empty_query_is_answered_as_one(sql: str) -> None:
    assert messages(respond(sql, STATE)) == [(b"I", b"")]
