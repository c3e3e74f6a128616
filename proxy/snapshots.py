"""The policy document to a snapshot, without a pause for whoever is being served.

A small document is read at once, in milliseconds. A large one (a hundred thousand tenants take seconds and a gigabyte)
is read in a process of its own, and the tenants come from there some at a time, the event loop going on in between.
Tenants that are what they were stay the same objects: a reload takes no second place for them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from policy.document import load_policy
from policy.errors import ConfigurationError
from policy.model import Tenant
from policy.snapshot import Snapshot
from proxy.config import GatewayConfig
from proxy.plans.transport import HEADER, decode, encode
from proxy.plans.workers import environment
from proxy.snapshot_process import Request

AT_ONCE_BYTES = 32 * 1024
NOBODY: Mapping[str, Tenant] = MappingProxyType({})


async def load_snapshot(config: GatewayConfig, version: int, before: Mapping[str, Tenant] = NOBODY) -> Snapshot:
    """Read the policy document, or all of a store. Raises ConfigurationError, and StoreAway (a TenantGateError) when
    that cannot be read. before: the tenants that are in force now."""
    if config.policy.store is not None:
        from proxy.policy_feed.first import read_store

        return await read_store(config)
    path, targets = Path(config.policy_file), frozenset(config.targets)
    if _is_small(path):
        return load_policy(path, version=version, targets=targets)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "proxy.snapshot_process",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment(), start_new_session=True,
    )  # fmt: skip
    try:
        return await _receive(process, Request(os.fspath(path), version, targets), before)
    except (OSError, asyncio.IncompleteReadError):
        problem = (str(path), "cannot be read: the process that reads it has ended", "Is there memory enough?")
        raise ConfigurationError((problem,)) from None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _is_small(path: Path) -> bool:
    """Whether it is read at once; one that is not there is told so at once."""
    try:
        return path.stat().st_size <= AT_ONCE_BYTES
    except OSError:
        return True


async def _receive(process: asyncio.subprocess.Process, request: Request, before: Mapping[str, Tenant]) -> Snapshot:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(encode(request))
    process.stdin.close()
    first = await _frame(process.stdout)
    if not isinstance(first, Snapshot):
        raise ConfigurationError(first)
    tenants: dict[str, Tenant] = {}
    while some := await _frame(process.stdout):
        for tenant in some:
            known = before.get(tenant.id, tenant)
            tenants[tenant.id] = known if known == tenant else tenant
        await asyncio.sleep(0)
    return replace(first, tenants=MappingProxyType(tenants))


async def _frame(pipe: asyncio.StreamReader) -> Any:
    header = await pipe.readexactly(HEADER.size)
    return decode(await pipe.readexactly(HEADER.unpack(header)[0]))
