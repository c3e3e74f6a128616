"""Where an issuer's keys come from: fixed, or a JWKS URL that is fetched, cached and followed when keys rotate.

Fetching happens in a thread, with one request in flight per URL whoever waits for it. A known key costs no
request within `cache_s`. A token with an unknown key causes one, at most every `REFRESH_INTERVAL_S`, so that
forged tokens cannot make us hammer the issuer. When the issuer is away its last keys stay in use for at most
`MAX_STALE_S`: a login must not fail because of a short outage, nor a revoked key live on because of a long one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import IO, Protocol
from urllib.parse import urlsplit

from policy.errors import AuthenticationError
from proxy.identity.keys import KeySet, KeyUnusable, UnknownKey, VerificationKey, read_jwks

FETCH_TIMEOUT_S = 5.0
MAX_DOCUMENT_BYTES = 1024 * 1024
REFRESH_INTERVAL_S = 10.0
MAX_STALE_S = 86_400.0
_CHUNK_BYTES = 65_536

logger = logging.getLogger(__name__)


class KeySource(Protocol):
    """What the authenticator needs of one issuer's keys."""

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey:
        """The key for a token's header, or AuthenticationError."""


class FixedKeys:
    """Keys from the configuration: they change with a reload only."""

    __slots__ = ("_keys",)

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey:
        return self._keys.select(kid, algorithm)


class FetchedKeys:
    """Keys behind a URL. Lives as long as the configuration names the URL; `clock` is in seconds."""

    __slots__ = ("_attempted_at", "_clock", "_fetched_at", "_fetching", "_keys", "cache_s", "url")

    def __init__(self, url: str, cache_s: float, clock: Callable[[], float]) -> None:
        check_url(url)
        self.url = url
        self.cache_s = cache_s
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._attempted_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey:
        """The key for a token's header; may wait for one fetch. Raises AuthenticationError."""
        if not self._is_younger_than(self.cache_s):
            await self._refresh()
        keys = self._current()
        try:
            return keys.select(kid, algorithm)
        except UnknownKey:
            await self._refresh()
            return self._current().select(kid, algorithm)

    def _current(self) -> KeySet:
        if self._keys is None or not self._is_younger_than(MAX_STALE_S):
            raise AuthenticationError("the issuer's keys cannot be fetched")
        return self._keys

    def _is_younger_than(self, age_s: float) -> bool:
        return self._keys is not None and 0 <= self._clock() - self._fetched_at < age_s

    async def _refresh(self) -> None:
        """Fetch, or wait for the fetch that is under way, or do nothing when the last one was a moment ago."""
        if self._fetching is None:
            now = self._clock()
            if self._attempted_at is not None and 0 <= now - self._attempted_at < REFRESH_INTERVAL_S:
                return
            self._attempted_at = now
            self._fetching = asyncio.create_task(self._fetch())
        # A login that is given up must not take the fetch away from the others that wait for it.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            self._keys = await asyncio.to_thread(fetch_keys, self.url)
            self._fetched_at = self._clock()
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            logger.warning("fetching keys from %s failed: %s", self.url, error)
        finally:
            self._fetching = None


def check_url(url: str) -> None:
    """Raise KeyUnusable unless the URL is https, or http to a loopback address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise KeyUnusable("not a URL") from None
    if not host or parts.username is not None:
        raise KeyUnusable("a JWKS URL needs a host and no user name")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise KeyUnusable("a JWKS URL must be https (http only to a loopback address)")


def fetch_keys(url: str) -> KeySet:
    """Fetch and read a JWKS document; blocking, bounded in time and size. Raises OSError or ValueError."""
    check_url(url)
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    request = urllib.request.Request(url, headers={"Accept": "application/jwk-set+json, application/json"})  # noqa: S310 - scheme checked
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if _is_loopback(urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    with urllib.request.build_opener(*handlers).open(request, timeout=FETCH_TIMEOUT_S) as response:
        return read_jwks(json.loads(_read_bounded(response, deadline)))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to a place that `check_url` would refuse; it ends as an HTTPError."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _read_bounded(response: IO[bytes], deadline: float) -> bytes:
    """The body, given up at the deadline however slowly it drips."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
        size += len(chunk)
        if size > MAX_DOCUMENT_BYTES:
            raise KeyUnusable("the JWKS document is too big")
        if time.monotonic() > deadline:
            raise TimeoutError("the JWKS document came too slowly")
        chunks.append(chunk)
    return b"".join(chunks)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
