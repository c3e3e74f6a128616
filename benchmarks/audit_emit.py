"""Microseconds per audit event: emit, and encoding, hashing and writing of the batches; then verifying them.

python -m benchmarks.audit_emit [--events 200000] [--fsync] [--conceal] [--sealed]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import secrets
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from policy.audit_event import AuditEvent
from proxy.audit.chain import NO_HASH, chain_event
from proxy.audit.emitter import AuditEmitter
from proxy.audit.signing import SigningKey
from proxy.audit.verify import verify_file
from proxy.config import AuditConfig

_BURST = 300  # events per turn of the loop, as at 30k statements a second and a flush each 10 ms


def sample_event(number: int) -> AuditEvent:
    """A typical event: a short SELECT in shared tables."""
    return AuditEvent(
        event="statement",
        time=1763912345.123456,
        session=f"s-{number:08x}",
        tenant="acme",
        subject="alice@example.com",
        client="127.0.0.1:54321",
        decision="rewritten",
        outcome="ok",
        policy_version=7,
        protocol="simple",
        command="SELECT",
        statement=f"SELECT id, total FROM orders WHERE customer_id = {number} ORDER BY id DESC LIMIT 20",
        rewritten="SELECT id, total FROM (SELECT id, total, customer_id FROM public.orders WHERE tenant_id"
        f" OPERATOR(pg_catalog.=) 'acme') AS orders WHERE customer_id = {number} ORDER BY id DESC LIMIT 20",
        fingerprint="a1b2c3d4e5f60718",
        relations=("public.orders",),
        rows=20,
        bytes=1234,
        duration_us=842,
        application="psql",
    )


async def emit_all(events: list[AuditEvent], config: AuditConfig) -> tuple[float, float]:
    """CPU seconds of everything, and of the `emit` calls alone."""
    emitter = AuditEmitter(config)
    emitter.start()
    in_emit = 0.0
    begin = time.process_time()
    for start in range(0, len(events), _BURST):
        before = time.process_time()
        for event in events[start : start + _BURST]:
            emitter.emit(event)
        in_emit += time.process_time() - before
        while emitter.queued:
            await asyncio.sleep(config.flush_interval_s)
    await emitter.close()
    return time.process_time() - begin, in_emit


def encode_all(events: list[AuditEvent]) -> float:
    """CPU seconds of encoding and chaining alone."""
    begin = time.process_time()
    prev = NO_HASH
    for seq, event in enumerate(events, 1):
        _, prev = chain_event(event, seq, prev)
    return time.process_time() - begin


def main() -> None:
    """Measure in a directory of its own and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--fsync", action="store_true")
    parser.add_argument("--conceal", action="store_true", help="texts encrypted, a key for each user")
    parser.add_argument("--sealed", action="store_true")
    args = parser.parse_args()
    events = [sample_event(number) for number in range(args.events)]
    gc.freeze()  # a gateway does not hold all these events at once
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "audit.jsonl"
        config = AuditConfig(path=path, fsync=args.fsync)
        if args.conceal:
            config = replace(config, conceal="subject", text_key=secrets.token_hex(32))
        if args.sealed:
            config = replace(config, signing_key=SigningKey.generate().pem())
        total, in_emit = asyncio.run(emit_all(events, config))
        begin = time.process_time()
        result = verify_file(path)
        verify_s = time.process_time() - begin
    assert result.ok
    each = 1e6 / args.events
    report = {
        "events": args.events,
        "emit_us": round(in_emit * each, 2),
        "encode_and_hash_us": round(encode_all(events) * each, 2),
        "all_in_us": round(total * each, 2),
        "verified_per_s": round(result.events / verify_s),
    }
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
