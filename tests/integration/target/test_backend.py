"""Backend connections to real servers, and to scripted ones that break the protocol."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from proxy.cancel import send_cancel
from proxy.config import TargetConfig
from proxy.errors import BackendLost, LocalProtocolError, TargetUnavailable
from proxy.postgres.backend import BackendConnection, connect_backend
from proxy.postgres.backend_errors import BackendQueryError, TargetFull
from proxy.postgres.wire.messages import encode_query
from proxy.postgres.wire.replies import (
    authentication_cleartext,
    authentication_ok,
    authentication_sasl,
    authentication_sasl_final,
    backend_key_data,
    error_response,
    parameter_status,
    ready_for_query,
)
from tests.harness.postgres import PostgresServer

OPTIONS = {"application_name": "test", "search_path": "pg_catalog, public"}


def config(server: PostgresServer, tls: str = "disable", ca_file: Path | None = None) -> TargetConfig:
    return TargetConfig(
        "main", server.host, server.port, "postgres", "postgres", server.password, tls=tls, ca_file=ca_file
    )


@asynccontextmanager
async def connected(target: TargetConfig, **options: str) -> AsyncIterator[BackendConnection]:
    backend = await connect_backend(target, "postgres", protocol_options={**OPTIONS, **options})
    try:
        yield backend
    finally:
        gone = asyncio.Event()
        backend.on_lost = lambda _: gone.set()
        if not backend.closed:
            backend.close()
            async with asyncio.timeout(10):
                await gone.wait()
        await asyncio.sleep(0.01)  # an aborted transport needs a turn or two


class Receiver:
    """Keeps what an attached backend says."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.lost: list[Exception | None] = []
        self.arrived = asyncio.Event()

    def backend_data(self, data: bytes) -> None:
        self.chunks.append(data)
        self.arrived.set()

    def backend_lost(self, error: Exception | None) -> None:
        self.lost.append(error)
        self.arrived.set()

    def backend_pause_writing(self) -> None: ...
    def backend_resume_writing(self) -> None: ...

    @property
    def received(self) -> bytes:
        return b"".join(self.chunks)

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not ready():
                self.arrived.clear()
                await self.arrived.wait()


# --- login and TLS


@pytest.mark.parametrize("tls", ["disable", "prefer"])
async def test_scram_login_without_tls(postgres: PostgresServer, tls: str) -> None:
    async with connected(config(postgres, tls)) as backend:
        assert not backend.tls
        assert await backend.query("SELECT 1, NULL, 'ä', ''") == [["1", None, "ä", ""]]
        assert backend.parameters["server_version"].startswith("18")
        assert [[str(backend.pid)]] == await backend.query("SELECT pg_backend_pid()")
        assert len(backend.secret) >= 4


@pytest.mark.parametrize("tls", ["prefer", "require", "verify-ca", "verify-full"])
async def test_scram_login_over_tls(postgres_tls: PostgresServer, tls: str) -> None:
    """Debian's server also offers SCRAM-SHA-256-PLUS, so the login is bound to the channel."""
    async with connected(config(postgres_tls, tls, postgres_tls.ca_file)) as backend:
        assert backend.tls
        assert await backend.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [["t"]]


async def refusal(target: TargetConfig) -> TargetUnavailable:
    with pytest.raises(TargetUnavailable) as refused:
        await connect_backend(target, "postgres", protocol_options=OPTIONS)
    assert refused.value.sqlstate == "57P03"
    assert '"main"' in refused.value.message
    if target.password:
        assert target.password not in f"{refused.value!r} {refused.value.__cause__!r} {target!r}"
    return refused.value


async def test_a_server_without_tls_is_refused_when_tls_is_demanded(postgres: PostgresServer) -> None:
    assert "TLS" in (await refusal(config(postgres, "require"))).message


@pytest.mark.parametrize("tls", ["require", "verify-ca", "verify-full"])
async def test_a_certificate_of_somebody_else_is_refused(
    postgres_tls: PostgresServer, tmp_path: Path, tls: str
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    await refusal(config(postgres_tls, tls, tmp_path / "other.pem"))
    await refusal(config(postgres_tls, tls, tmp_path / "missing.pem"))


async def test_only_verify_full_looks_at_the_name(postgres_tls: PostgresServer) -> None:
    target = replace(config(postgres_tls, "verify-ca", postgres_tls.ca_file), host="127.1")  # not in the certificate
    async with connected(target):
        pass
    await refusal(replace(target, tls="verify-full"))


async def test_a_wrong_password_says_nothing_about_the_account(postgres: PostgresServer) -> None:
    error = await refusal(replace(config(postgres), password="not-the-password"))
    assert "postgres" not in error.message
    assert "28P01" in str(error.__cause__)


async def test_nobody_listens() -> None:
    await refusal(TargetConfig("main", "127.0.0.1", 1, "postgres", "postgres"))


async def test_unknown_hosts_and_missing_sockets_are_unavailable(tmp_path: Path) -> None:
    await refusal(TargetConfig("main", "host.invalid", 5432, "postgres", "postgres"))
    await refusal(TargetConfig("main", str(tmp_path), 5432, "postgres", "postgres"))


async def test_names_that_the_server_would_cut_are_refused(postgres: PostgresServer) -> None:
    target = config(postgres)
    with pytest.raises(TargetUnavailable, match="63 bytes"):
        await connect_backend(target, "d" * 64, protocol_options=OPTIONS)
    with pytest.raises(TargetUnavailable, match="NUL"):
        await connect_backend(target, "postgres", protocol_options={"application_name": "a\0user\0eve"})


async def test_startup_parameters_are_ours(postgres: PostgresServer) -> None:
    async with connected(config(postgres), client_encoding="LATIN1", user="eve", timezone="UTC") as backend:
        shown = await backend.query(
            "SELECT current_user, current_setting('client_encoding'), current_setting('standard_conforming_strings'),"
            " current_setting('search_path'), current_setting('application_name'), current_setting('timezone')"
        )
        assert shown == [["postgres", "UTF8", "on", "pg_catalog, public", "test", "UTC"]]


# --- queries while detached


async def test_an_error_leaves_the_connection_usable(postgres: PostgresServer) -> None:
    async with connected(config(postgres)) as backend:
        with pytest.raises(BackendQueryError) as failed:
            await backend.exchange("SELECT 1/0", "SELECT 2")
        assert failed.value.sqlstate == "22012"
        assert not failed.value.public
        assert await backend.query("SELECT 3") == [["3"]]


async def test_the_transaction_status_is_kept(postgres: PostgresServer) -> None:
    async with connected(config(postgres)) as backend:
        await backend.query("BEGIN")
        assert backend.transaction_status == ord("T")
        with pytest.raises(BackendQueryError):
            await backend.query("nonsense")
        assert backend.transaction_status == ord("E")


async def test_a_slow_answer_closes_the_connection(postgres: PostgresServer) -> None:
    async with connected(config(postgres)) as backend:
        with pytest.raises(BackendLost):
            await backend.query("SELECT pg_sleep(10)", timeout_s=0.1)
        assert backend.closed
        with pytest.raises(BackendLost):
            await backend.query("SELECT 1")


async def test_one_question_at_a_time(postgres: PostgresServer) -> None:
    async with connected(config(postgres)) as backend:
        first = asyncio.create_task(backend.query("SELECT pg_sleep(0.05)"))
        await asyncio.sleep(0)
        with pytest.raises(LocalProtocolError):
            await backend.query("SELECT 1")
        with pytest.raises(LocalProtocolError):
            backend.attach(Receiver())
        await first


async def test_copy_in_a_query_closes_the_connection(postgres: PostgresServer) -> None:
    """The gateway's own queries never copy; a server that says so is out of step."""
    async with connected(config(postgres)) as backend:
        with pytest.raises(BackendLost):
            await backend.query("COPY (SELECT 1) TO STDOUT")
        assert backend.closed


# --- attached


async def test_bytes_go_to_the_receiver_and_back(postgres: PostgresServer) -> None:
    async with connected(config(postgres)) as backend:
        receiver = Receiver()
        backend.attach(receiver)
        backend.write(encode_query(b"SELECT 'hello'"))
        await receiver.until(lambda: receiver.received.endswith(ready_for_query(b"I")))
        assert b"hello" in receiver.received
        backend.detach()
        heard = receiver.received
        assert await backend.query("SELECT 1") == [["1"]]
        assert receiver.received == heard


async def test_a_receiver_that_does_not_read_stops_the_server(postgres: PostgresServer) -> None:
    async with connected(config(postgres)) as backend:
        receiver = Receiver()
        backend.attach(receiver)
        backend.pause_reading()
        backend.write(encode_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 50000)"))
        await asyncio.sleep(0.2)
        assert len(receiver.received) < 1_000_000
        backend.resume_reading()
        await receiver.until(lambda: receiver.received.endswith(ready_for_query(b"I")))
        assert len(receiver.received) > 50_000_000


async def test_the_receiver_hears_of_the_end(postgres: PostgresServer) -> None:
    async with connected(config(postgres)) as backend:
        lost: list[BackendConnection] = []
        backend.on_lost = lost.append
        receiver = Receiver()
        backend.attach(receiver)
        await asyncio.to_thread(postgres.execute, f"SELECT pg_terminate_backend({backend.pid})")
        await receiver.until(lambda: bool(receiver.lost))
        assert b"57P01" in receiver.received
        assert lost == [backend]
        assert backend.closed
        with pytest.raises(BackendLost):
            backend.attach(receiver)


@pytest.mark.parametrize("flavour", ["postgres", "postgres_tls"])
async def test_cancel_reaches_the_statement(request: pytest.FixtureRequest, flavour: str) -> None:
    server: PostgresServer = request.getfixturevalue(flavour)
    async with connected(config(server, "prefer")) as backend:
        running = asyncio.create_task(backend.query("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.1)
        assert not await send_cancel(replace(backend.target, port=1), backend.pid, backend.secret)
        assert await send_cancel(backend.target, backend.pid, b"\0" * len(backend.secret))  # taken, and ignored
        assert await send_cancel(backend.target, backend.pid, backend.secret)
        with pytest.raises(BackendQueryError) as cancelled:
            await running
        assert cancelled.value.sqlstate == "57014"


# --- servers that misbehave

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GREETING = authentication_ok() + parameter_status("client_encoding", "UTF8")
READY = parameter_status("standard_conforming_strings", "on") + backend_key_data(1, b"key!") + ready_for_query(b"I")


@asynccontextmanager
async def scripted(*answers: bytes, tls: str = "disable", password: str = "secret-pw") -> AsyncIterator[TargetConfig]:
    """A server that reads something and sends the next answer, until it has none and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                await reader.read(65536)
                writer.write(answer)
                await writer.drain()
            await asyncio.sleep(0.05)
        except OSError:
            pass
        finally:
            writer.close()
            ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield TargetConfig("main", "127.0.0.1", port, "db", "user", password, tls=tls, connect_timeout_s=1.0)
        async with asyncio.timeout(10):
            await ended.wait()
        await asyncio.sleep(0.01)


async def test_a_scripted_server_is_accepted() -> None:
    """So that what follows fails for the reason it tests."""
    async with scripted(GREETING + READY) as target, connected(target) as backend:
        assert (backend.pid, backend.secret) == (1, b"key!")
    async with scripted(authentication_cleartext(), GREETING + READY) as target, connected(target):
        pass


@pytest.mark.parametrize(
    "answers",
    [
        [b""],
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        [b"R\x7f\xff\xff\xff"],
        [b"R\x00\x00\x00\x03"],
        [b"R\x00\x00\x00\x04"],
        [ready_for_query(b"I")],
        [authentication_ok()],
        [authentication_ok() + READY],  # no client_encoding
        [authentication_ok() + parameter_status("client_encoding", "SJIS") + READY],
        [GREETING + ready_for_query(b"I")],
        [GREETING + READY[:-1] + b"T"],
        [GREETING + b"S\x00\x00\x00\x05x" + READY],
        [GREETING + READY + b"D\x00\x00\x00\x06\x00\x00"],
        [GREETING + b"K\x00\x00\x00\x05x" + READY],
        [b"N\x00\x00\x00\x05\x00" * 5000],
        [b"R" + struct.pack("!II", 12, 5) + b"salt"],  # MD5
        [b"R" + struct.pack("!II", 8, 7)],  # GSSAPI
        [authentication_sasl(["PLAIN"])],
        [authentication_sasl(["SCRAM-SHA-256"]), GREETING + READY],
        [authentication_sasl(["SCRAM-SHA-256"]), authentication_sasl_final(b"v=AAAA") + GREETING + READY],
        [authentication_cleartext(), authentication_cleartext()],
    ],
    ids=lambda answers: repr(answers)[:40],
)
async def test_a_server_that_breaks_the_protocol_is_refused(answers: list[bytes]) -> None:
    async with scripted(*answers) as target:
        await refusal(target)


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with scripted(b"", b"") as target:
        assert "within" in (await refusal(replace(target, connect_timeout_s=0.04))).message


async def test_no_password_is_sent_when_none_is_configured() -> None:
    async with scripted(authentication_cleartext(), GREETING + READY, password="") as target:
        await refusal(target)


@pytest.mark.parametrize("answer", [b"Sx", b"E\x00\x00", b"", b"\x16\x03\x01"])
async def test_bytes_around_the_answer_to_sslrequest_are_refused(answer: bytes) -> None:
    """CVE-2021-23222: what a man in the middle adds in plaintext must not be taken for the server's."""
    async with scripted(answer, GREETING + READY, tls="prefer") as target:
        await refusal(target)


async def test_errors_of_the_server_are_told_apart() -> None:
    async with scripted(error_response("FATAL", "53300", "sorry, too many clients already")) as target:
        assert isinstance(await refusal(target), TargetFull)
    async with scripted(error_response("FATAL", "57P03", "the database system is starting up")) as target:
        error = await refusal(target)
        assert not isinstance(error, TargetFull)
        assert "57P03" in error.message
