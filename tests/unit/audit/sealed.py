"""Sealed logs for the tests of this package."""

from __future__ import annotations

from pathlib import Path

from proxy.audit.emitter import AuditEmitter
from proxy.audit.signing import SigningKey
from proxy.config import AuditConfig
from tests.unit.audit.samples import numbered, read_lines

KEY = SigningKey.generate()
OTHER_KEY = SigningKey.generate()
TENANTS = ("acme", "globex", 'ümbrella "&\\')


def sealed_config(path: Path, key: SigningKey = KEY, *, every: int = 10) -> AuditConfig:
    return AuditConfig(path=path, signing_key=key.pem(), seal_events=every, flush_interval_s=0.001)


async def write_sealed(
    path: Path, events: int, key: SigningKey = KEY, *, every: int = 10, first: int = 0
) -> list[bytes]:
    """Events of three tenants in turn, sealed about every so many lines; goes on with what is there."""
    emitter = AuditEmitter(sealed_config(path, key, every=every))
    emitter.start()
    for number in range(first, first + events):
        emitter.emit(numbered(number)._replace(tenant=TENANTS[number % 3]))
        if number % every == every - 1:
            emitter._flush()
    await emitter.close()
    return read_lines(path)
