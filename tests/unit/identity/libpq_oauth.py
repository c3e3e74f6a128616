"""A bearer token for libpq's OAUTHBEARER, given by its hook (PQsetAuthDataHook), which psycopg does not wrap."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
from collections.abc import Iterator
from pathlib import Path

_BEARER_TOKEN = 1  # PQAUTHDATA_OAUTH_BEARER_TOKEN


class BearerRequest(ctypes.Structure):
    """PGoauthBearerRequest of libpq-fe.h (PostgreSQL 18)."""

    _fields_ = (
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("run", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("token", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    )


_Hook = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(BearerRequest))


def load_libpq() -> ctypes.CDLL | None:
    """The libpq 18 that psycopg[binary] brings, or None."""
    spec = importlib.util.find_spec("psycopg_binary")
    if spec is None or spec.origin is None:
        return None
    found = list(Path(spec.origin).parent.with_name("psycopg_binary.libs").glob("libpq-*.so*"))
    library = ctypes.CDLL(str(found[0])) if found else None
    return library if library is not None and hasattr(library, "PQsetAuthDataHook") else None


@contextlib.contextmanager
def bearer_token(library: ctypes.CDLL, token: str) -> Iterator[list[tuple[str, str]]]:
    """Let libpq use `token`; yields the (openid-configuration, scope) pairs that it was asked with."""
    asked: list[tuple[str, str]] = []
    text = token.encode()

    def give(kind: int, _connection: int, request: ctypes._Pointer[BearerRequest]) -> int:
        if kind != _BEARER_TOKEN:
            return 0
        wanted = request.contents
        asked.append(((wanted.openid_configuration or b"").decode(), (wanted.scope or b"").decode()))
        wanted.token = text
        return 1

    hook = _Hook(give)
    library.PQgetAuthDataHook.restype = ctypes.c_void_p
    library.PQsetAuthDataHook.argtypes = (ctypes.c_void_p,)
    before = library.PQgetAuthDataHook()
    library.PQsetAuthDataHook(ctypes.cast(hook, ctypes.c_void_p))
    try:
        yield asked
    finally:
        library.PQsetAuthDataHook(before)
