"""Log in to a target: startup packet, authentication, parameters, cancel key, ReadyForQuery.

Everything here happens before a backend is of use, so it is small and bounded: messages of 64 KiB at most (the
inbox's limit), and few of them. MD5 is refused: it proves a hash that is as good as the password. Source: PostgreSQL
protocol documentation, "Start-up" and "SASL Authentication".
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from proxy.config import TargetConfig
from proxy.errors import RemoteProtocolError, TargetUnavailable
from proxy.postgres.backend_errors import ServerError
from proxy.postgres.wire.framing import HEADER_BYTES
from proxy.postgres.wire.messages import encode
from proxy.postgres.wire.replies import decode_parameter_status
from proxy.postgres.wire.scram import ClientScram
from proxy.postgres.wire.startup import MAX_CANCEL_KEY_BYTES, encode_startup

MAX_LOGIN_MESSAGES = 1000
MAX_IDENTIFIER_BYTES = 63  # PostgreSQL cuts longer ones silently: another database or user
REQUIRED_SETTINGS = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}

Take = Callable[[], Awaitable[bytes]]
Write = Callable[[bytes], None]

_unpack_int = struct.Struct("!i").unpack_from


@dataclass(frozen=True, slots=True)
class Login:
    """What the server told about the new session."""

    pid: int
    secret: bytes = field(repr=False)
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Channel:
    """`private`: nobody can listen in (TLS or loopback). `end_point`: the channel binding, when there is TLS."""

    private: bool
    end_point: bytes | None = None


def startup_parameters(target: TargetConfig, database: str, options: Mapping[str, str]) -> dict[str, str]:
    """All startup parameters; ours win over `options`. Raises TargetUnavailable on what PostgreSQL would cut."""
    for name in (target.user, database):
        if not name or len(name.encode()) > MAX_IDENTIFIER_BYTES:
            raise TargetUnavailable(f'target "{target.name}": user and database need 1 to 63 bytes')
    parameters = {**options, "user": target.user, "database": database, **REQUIRED_SETTINGS}
    if any(not name or "\0" in name + value for name, value in parameters.items()):
        raise TargetUnavailable(f'target "{target.name}": a startup parameter is empty or contains NUL')
    return parameters


async def log_in(take: Take, write: Write, target: TargetConfig, parameters: dict[str, str], channel: Channel) -> Login:
    """Go from the startup packet to ReadyForQuery.

    Raises ServerError, RemoteProtocolError, SaslRejected, TargetUnavailable, or what `take` raises.
    """
    write(encode_startup(parameters))
    await _authenticate(take, write, target, channel)
    return await _read_until_ready(take)


async def _next(take: Take) -> bytes:
    """The next message that is neither a notice nor an error."""
    for _ in range(MAX_LOGIN_MESSAGES):
        message = await take()
        if message[0] == 0x45:  # ErrorResponse
            raise ServerError.from_message(message)
        if message[0] not in b"Nv":  # NoticeResponse, NegotiateProtocolVersion
            return message
    raise RemoteProtocolError("too many notices during login")


async def _next_authentication(take: Take) -> tuple[int, bytes]:
    """(kind, data) of the next Authentication message."""
    message = await _next(take)
    if message[0] != 0x52 or len(message) < HEADER_BYTES + 4:
        raise RemoteProtocolError("expected an authentication request from the server")
    return _unpack_int(message, HEADER_BYTES)[0], message[HEADER_BYTES + 4 :]


async def _authenticate(take: Take, write: Write, target: TargetConfig, channel: Channel) -> None:
    kind, data = await _next_authentication(take)
    if kind == 0:
        return
    if not target.password:
        raise _refused(target, "wants a password and none is configured")
    if kind == 3:
        if not channel.private:
            raise _refused(target, "wants the password in clear text without TLS")
        write(encode(b"p", target.password.encode() + b"\0"))
    elif kind == 10:
        await _scram(take, write, target, channel, data)
    else:
        raise _refused(target, "wants an authentication method other than SCRAM-SHA-256")
    if await _next_authentication(take) != (0, b""):
        raise RemoteProtocolError("expected AuthenticationOk from the server")


async def _scram(take: Take, write: Write, target: TargetConfig, channel: Channel, data: bytes) -> None:
    """RFC 5802 with SHA-256, bound to the TLS channel when the server can. The server's proof is checked before
    its AuthenticationOk is believed."""
    offered = [name.decode("ascii", "replace") for name in data.split(b"\0") if name]
    client = ClientScram(target.password, offered, end_point=channel.end_point)
    first = client.first()
    write(encode(b"p", client.mechanism.encode() + b"\0" + struct.pack("!I", len(first)) + first))
    kind, challenge = await _next_authentication(take)
    if kind != 11:
        raise RemoteProtocolError("expected AuthenticationSASLContinue from the server")
    final = await asyncio.to_thread(client.final, challenge)  # PBKDF2, as slow as the server wishes
    write(encode(b"p", final))
    kind, proof = await _next_authentication(take)
    if kind != 12:
        raise RemoteProtocolError("expected AuthenticationSASLFinal from the server")
    client.finish(proof)


async def _read_until_ready(take: Take) -> Login:
    parameters: dict[str, str] = {}
    pid, secret = 0, b""
    for _ in range(MAX_LOGIN_MESSAGES):
        message = await _next(take)
        if message[0] == 0x53:  # ParameterStatus
            name, value = read_parameter_status(message)
            parameters[name] = value
        elif message[0] == 0x4B:  # BackendKeyData
            pid, secret = _decode_key(message)
        elif message[0] == 0x5A:  # ReadyForQuery
            _check_settings(message, parameters)
            return Login(pid, secret, parameters)
        else:
            raise RemoteProtocolError("unexpected message from the server during login")
    raise RemoteProtocolError("too many messages during login")


def read_parameter_status(message: bytes) -> tuple[str, str]:
    """(name, value) of a ParameterStatus. Raises RemoteProtocolError."""
    try:
        return decode_parameter_status(message)
    except ValueError:
        raise RemoteProtocolError("malformed ParameterStatus") from None


def read_ready_for_query(message: bytes) -> int:
    """The transaction status of a ReadyForQuery: ord of I, T or E. Raises RemoteProtocolError."""
    if len(message) != HEADER_BYTES + 1 or message[HEADER_BYTES] not in b"ITE":
        raise RemoteProtocolError("malformed ReadyForQuery")
    return message[HEADER_BYTES]


def _decode_key(message: bytes) -> tuple[int, bytes]:
    secret = message[HEADER_BYTES + 4 :]
    if not 4 <= len(secret) <= MAX_CANCEL_KEY_BYTES:
        raise RemoteProtocolError("malformed BackendKeyData")
    return _unpack_int(message, HEADER_BYTES)[0], secret


def _check_settings(ready: bytes, parameters: dict[str, str]) -> None:
    """Rewritten SQL is only right under these settings, so a server that has others is not used."""
    if read_ready_for_query(ready) != ord("I"):
        raise RemoteProtocolError("the server begins a session within a transaction")
    for name, value in REQUIRED_SETTINGS.items():
        if parameters.get(name) != value:
            raise RemoteProtocolError(f"the server does not keep {name} = {value}")


def _refused(target: TargetConfig, why: str) -> TargetUnavailable:
    return TargetUnavailable(f'target "{target.name}" {why}')
