"""What sinks that speak HTTP or TLS have in common: certificates, requests, and what a status means for a batch."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from proxy.audit.sinks.sink import Outcome, Record, SinkUnavailable, SinkUnusable
from proxy.config_sinks import SinkConfig

if TYPE_CHECKING:
    import httpx

_MAX_REASON_CHARS: Final = 300
# What the receiver says about these records, and not about itself, our credentials or its address.
_ABOUT_RECORDS: Final = frozenset({400, 406, 409, 411, 413, 415, 422, 431})


def tls_context(config: SinkConfig) -> ssl.SSLContext:
    """Certificates are verified, against `ca_file` where there is one. Raises SinkUnusable."""
    try:
        context = ssl.create_default_context(cafile=None if config.ca_file is None else str(config.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if config.certificate is not None and config.key is not None:
            context.load_cert_chain(config.certificate, config.key)
    except (OSError, ssl.SSLError) as error:
        raise SinkUnusable(f"sink {config.name}: certificates cannot be used: {error}") from error
    return context


def make_client(config: SinkConfig) -> httpx.AsyncClient:
    """An HTTP client for one sink. Raises SinkUnusable when httpx is not installed."""
    try:
        import httpx
    except ImportError as error:
        raise SinkUnusable(
            f"sink {config.name} needs httpx", hint="Install it: pip install 'tenantgate[admin]'"
        ) from error
    return httpx.AsyncClient(timeout=config.timeout_s, verify=tls_context(config), follow_redirects=False)


async def post(client: httpx.AsyncClient, url: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """POST; raises SinkUnavailable for all that is no answer about the records themselves."""
    import httpx

    try:
        response = await client.post(url, content=content, headers=dict(headers))
    except (httpx.HTTPError, OSError) as error:
        raise SinkUnavailable(f"{type(error).__name__}: {error}") from error
    if response.is_success or response.status_code in _ABOUT_RECORDS:
        return response
    raise SinkUnavailable(f"HTTP {response.status_code}: {reason_of(response)}", retry_after_s=_retry_after(response))


def reason_of(response: httpx.Response) -> str:
    """The beginning of what it says, printable."""
    return "".join(c if c.isprintable() else " " for c in response.text[:_MAX_REASON_CHARS])


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), 300.0) if text.isascii() and text.isdigit() else 0.0


def halved(records: Sequence[Record], reason: str) -> tuple[Sequence[Record], Sequence[Record]] | Outcome:
    """What to do with a batch that was refused as a whole: try its halves, until one record alone is to blame."""
    if len(records) == 1:
        return Outcome(rejected=[(records[0], reason)])
    middle = len(records) // 2
    return records[:middle], records[middle:]
