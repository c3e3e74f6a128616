"""The other workers of this gateway, as one of them sees them: through the supervisor, which knows them all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from proxy.workers.channel import Channel, PeerGone
from proxy.workers.table import QuotaTable

Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Peers:
    """seat: this process's number among all of the machine's, which no other has at the same time."""

    seat: int
    table: QuotaTable
    channel: Channel
    _cancels: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(64))

    async def cancel(self, pid: int, key: bytes) -> None:
        """Hand a CancelRequest to the worker that has handed out its pid; returns when that one has acted."""
        async with self._cancels:
            try:
                await self.channel.ask("cancel", pid=pid, key=key.hex())
            except PeerGone:
                return  # the session is gone with it

    async def rows(self, view: str) -> list[Rows]:
        """A view of the admin console, from every worker (this one, too) that answers."""
        try:
            return list((await self.channel.ask("rows", view=view))["rows"])
        except PeerGone:
            return []

    async def enter_user(self, tenant: str, subject: str, limit: int | None) -> int:
        """As `Subjects.enter`, of all workers. Raises PeerGone."""
        return int((await self.channel.ask("enter", tenant=tenant, subject=subject, limit=limit))["users"])

    def leave_user(self, tenant: str, subject: str) -> None:
        self.channel.tell("left", tenant=tenant, subject=subject)

    async def kill(self, session: str) -> int:
        """End a session, whichever worker has it; how many had it: 0 or 1."""
        try:
            return int((await self.channel.ask("kill", session=session))["killed"])
        except PeerGone:
            return 0
