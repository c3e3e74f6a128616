"""Idempotency keys: a request that is sent twice is done once, and answered the same both times.

The API calls `begin` before it does anything and `finish` with its answer, or `forget` when nothing came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from admin.services.actor import Actor
from admin.services.errors import Conflict, KeyReused
from admin.store.engine import Store
from admin.store.tables import IdempotencyRow
from policy.canonical import canonical_json, read_canonical

KEPT_S = 86_400.0
_ABANDONED_S = 300.0  # a request under way for so long has died


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What the request was answered."""

    status: int
    headers: dict[str, str]
    response: str


async def begin(store: Store, actor: Actor, key: str, request: str) -> StoredAnswer | None:
    """None: go on. request: a hash of method, path and body. Raises Conflict: under way, or the key of another one."""
    mine = (IdempotencyRow.subject == actor.subject, IdempotencyRow.key == key)
    now = store.clock()
    async with store.writing() as session:
        old = (IdempotencyRow.created_at < now - KEPT_S) | (
            (IdempotencyRow.status == 0) & (IdempotencyRow.created_at < now - _ABANDONED_S)
        )
        await session.execute(delete(IdempotencyRow).where(old))
        row = (await session.execute(select(IdempotencyRow).where(*mine))).scalar()
        if row is None:
            try:
                await session.execute(
                    insert(IdempotencyRow).values(
                        subject=actor.subject, key=key, request=request, status=0, headers="{}", response="",
                        created_at=now,
                    )
                )  # fmt: skip
            except IntegrityError:
                raise _under_way() from None
            return None
        if row.request != request:
            raise KeyReused("the idempotency key was used for another request", hint="Take a new key for each request.")
        if row.status == 0:
            raise _under_way()
        return StoredAnswer(row.status, read_canonical(row.headers), row.response)


async def finish(store: Store, actor: Actor, key: str, status: int, headers: Mapping[str, str], response: str) -> None:
    """Keep the answer."""
    async with store.writing() as session:
        await session.execute(
            update(IdempotencyRow)
            .where(IdempotencyRow.subject == actor.subject, IdempotencyRow.key == key)
            .values(status=status, headers=canonical_json(dict(headers)), response=response)
        )


async def forget(store: Store, actor: Actor, key: str) -> None:
    """The request failed before it changed anything: it may be sent again."""
    async with store.writing() as session:
        await session.execute(
            delete(IdempotencyRow).where(IdempotencyRow.subject == actor.subject, IdempotencyRow.key == key)
        )


def _under_way() -> Conflict:
    return Conflict("a request with this idempotency key is under way", hint="Wait for its answer, then repeat it.")
