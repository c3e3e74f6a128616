"""Tenants and what is theirs on a target, a schema, a database or rows of shared tables: both, or neither.

Making: the work is written down, the place is made, then tenant and end of the work are one transaction. Removing: the
tenant becomes `deleting` and the work is written down in one transaction, its rows are exported if that was asked for,
the place is dropped, then tenant and work go in one transaction. A process that dies on the way leaves its work behind:
`recover` undoes a making and finishes a removal. When it is not known whether the store took the last step, nothing on
the target is touched: recovery sees what the store says.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from admin.places.dump import Dump
from admin.places.errors import PlaceFailed, PlaceRefused
from admin.places.export import export_place
from admin.places.export_files import Export
from admin.places.making import (
    check_removable,
    close_database,
    is_there,
    make_place,
    remove_place,
    schema_drop,
    undo_place,
)
from admin.places.place import Place, place_of
from admin.places.server import Connect, Session
from admin.places.shared import SharedRows, shared_rows, take_rows
from admin.provision.steps import Step
from admin.provision.wanted import gives_ddl
from admin.services.actor import EVERYTHING, Actor
from admin.services.entity import Body, Entity
from admin.services.errors import Conflict, Invalid, Refused, StoreUnavailable
from admin.services.judgement import judge
from admin.services.reach import check_etag, name_of, seen
from admin.services.tenants import check_word, delete_tenant, erase_tenant
from admin.services.works import Work, close_work, held, is_open, let_go, new_holder, open_work, take_over, under_way
from admin.store.change import changing
from admin.store.engine import Store
from admin.store.entities import read_entity, write_entity
from policy.model import Isolation, Tenant
from policy.problems import Problems
from policy.snapshot import Snapshot

logger = logging.getLogger(__name__)
RECOVERY = Actor("tenantgate", permissions=EVERYTHING, via="recovery")
DATA = ("export", "destroy", "keep")


@dataclass(frozen=True, slots=True)
class TargetAccess:
    """How places are made on a target. home: its own database; role: the gateway's login role there; dump: pg_dump of a
    place, None: there is none."""

    connect: Connect
    home: str
    role: str
    dump: Dump | None = None


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A tenant, and the SQL that was run for it."""

    entity: Entity
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """What was done; export: where the rows are, None: nowhere."""

    steps: tuple[Step, ...] = ()
    export: Export | None = None


class Provisioner:
    """Lifetime: the process's or the command's. targets: those that places can be made on, by name; exports: the
    directory that exports are written to, None: there is none."""

    def __init__(self, store: Store, targets: Mapping[str, TargetAccess], exports: Path | None = None) -> None:
        self._store = store
        self._targets = targets
        self._exports = exports
        self._holder = new_holder()

    async def create(self, actor: Actor, tenant_id: str, body: Body, *, adopt: bool = False) -> Provisioned:
        """A new tenant with its place. adopt: the place is there already and is left as it is.

        Raises Refused, Conflict, Invalid, StoreUnavailable; PlaceFailed when the target did not do it, and nothing
        of it is left then.
        """
        begun = await self._begin_making(actor, tenant_id, body, adopt=adopt)
        if isinstance(begun, Entity):
            return Provisioned(begun)
        work, place = begun
        async with held(self._store, work, self._holder):
            try:
                steps = await make_place(place, self._access(place).connect)
            except BaseException as error:
                await self._after_failure(actor, work, error)
                raise
            try:
                entity = await self._finish_making(actor, work, steps)
            except StoreUnavailable:
                await let_go(self._store, work, self._holder)
                raise
            except BaseException as error:
                await undo_place(place, self._access(place).connect)
                await self._strike(actor, work, error)
                raise
        return Provisioned(entity, tuple(steps))

    async def delete(
        self, actor: Actor, tenant_id: str, *, data: str, word: str = "", etag: str | None = None
    ) -> Removed:
        """Take a tenant out. data: export (write its rows to a directory, then drop its place, or delete its rows in
        shared tables), destroy (without an export), keep (leave everything on the target). For all but export `word`
        must be the tenant's id.

        Raises NotFound, Refused, EtagMismatch, Conflict, Invalid, StoreUnavailable; PlaceFailed, and the tenant is as
        it was before, or stays `deleting` where its place is half gone: then this can be asked again.
        """
        if data not in DATA:
            raise Invalid(
                (("data", f"must be one of {', '.join(DATA)}", "export writes the rows to a directory first."),)
            )
        if data == "keep":
            await delete_tenant(self._store, actor, tenant_id, word=word, etag=etag)
            return Removed()
        work = await self._begin_removal(actor, tenant_id, data, word, etag)
        async with held(self._store, work, self._holder):
            return await self._remove(actor, work)

    async def recover(self) -> int:
        """Finish or undo what processes that are gone have left; how many. Raises StoreUnavailable."""
        count, tried = 0, set[str]()
        while (work := await take_over(self._store, self._holder, tried)) is not None:
            tried.add(work.id)
            try:
                async with held(self._store, work, self._holder):
                    if work.kind == "make" and isinstance(work.place, Place):
                        await undo_place(work.place, self._access(work.place).connect)
                        await self._strike(RECOVERY, work, "its process is gone")
                    else:
                        await self._remove(RECOVERY, work)
                count += 1
            except (PlaceFailed, Conflict, Invalid) as error:
                await let_go(self._store, work, self._holder)
                logger.warning("work on tenant %s cannot be finished yet: %s", work.tenant, error)
        return count

    # -- making

    async def _begin_making(
        self, actor: Actor, tenant_id: str, body: Body, *, adopt: bool
    ) -> tuple[Work, Place] | Entity:
        """The work, written down; or the tenant, where there is nothing to be made."""
        actor.require_everywhere("tenant", "write", "creating tenants")
        async with changing(self._store, actor) as change:
            if await is_open(change.session, tenant_id):
                raise under_way(tenant_id)
            if await read_entity(change.session, "tenant", tenant_id) is not None:
                raise Conflict(
                    f"{name_of('tenant', tenant_id)} exists already", hint="Choose another id, or change it."
                )
            judged = await judge(change, [("tenant", tenant_id, body)])
            kept = judged.bodies["tenant", tenant_id]
            place = None if adopt else self._place(judged.after.tenants[tenant_id], ddl=gives_ddl(judged.after))
            if place is None:
                return await write_entity(change, "tenant", tenant_id, kept)
            work = Work(place.mark, tenant_id, "make", place, kept, "", actor.subject)
            await open_work(change.session, work, self._holder, change.now)
            await change.record("provision", "tenant", tenant_id, tenant=tenant_id, after=kept, reason=place.shown)
            return work, place

    async def _finish_making(self, actor: Actor, work: Work, steps: list[Step]) -> Entity:
        async with changing(self._store, actor) as change:
            if not await close_work(change.session, work):
                raise Conflict("recovery has undone the work: it took too long", hint="Try again.")
            await judge(change, [("tenant", work.tenant, work.body)])
            sql = "; ".join(step.text for step in steps)
            return await write_entity(change, "tenant", work.tenant, work.body, reason=sql)

    async def _after_failure(self, actor: Actor, work: Work, error: BaseException) -> None:
        """make_place has undone what it could: if that is all, the work is over, else it is recovery's."""
        if isinstance(error, PlaceFailed) and not error.left_behind:
            await self._strike(actor, work, error)
        else:
            await let_go(self._store, work, self._holder)

    async def _strike(self, actor: Actor, work: Work, why: object) -> None:
        """The work came to nothing, and nothing is left of it."""
        async with changing(self._store, actor) as change:
            if await close_work(change.session, work):
                await change.record("unprovision", "tenant", work.tenant, tenant=work.tenant, reason=str(why)[:500])

    # -- removing

    async def _begin_removal(self, actor: Actor, tenant_id: str, data: str, word: str, etag: str | None) -> Work:
        async with changing(self._store, actor) as change:
            entity = await seen(change.session, actor, "tenant", tenant_id, "tenant")
            actor.require_everywhere("tenant", "write", "deleting tenants")
            check_etag(entity, etag)
            if data != "export":
                check_word(tenant_id, word)
            elif self._exports is None:
                hint = "Set api.export_dir, or delete with data=destroy and the tenant's id as the word."
                raise Refused("no directory for exports is configured", hint=hint)
            if await is_open(change.session, tenant_id):
                raise under_way(tenant_id)
            body = {**entity.body, "status": "deleting"}
            judged = await judge(change, [("tenant", tenant_id, body)])
            tenant = judged.after.tenants[tenant_id]
            place = self._place(tenant, ddl=False) or self._shared_rows(judged.after, tenant)
            if isinstance(place, Place):
                check_removable(place)
            work = Work(place.mark, tenant_id, "remove", place, dict(entity.body), data, actor.subject)
            await open_work(change.session, work, self._holder, change.now)
            kept = judged.bodies["tenant", tenant_id]
            await write_entity(change, "tenant", tenant_id, kept, action="deleting", reason=f"data={data}")
            return work

    async def _remove(self, actor: Actor, work: Work) -> Removed:
        try:
            removed = await self._take_away(work)
        except (PlaceRefused, OSError) as error:  # nothing was dropped
            await self._give_back(actor, work, error)
            if isinstance(error, OSError):
                raise PlaceRefused(f"the export cannot be written: {error.strerror}") from None
            raise
        except PlaceFailed:
            await let_go(self._store, work, self._holder)
            raise
        sql = "; ".join(step.text for step in removed.steps)
        async with changing(self._store, actor) as change:
            entity = await read_entity(change.session, "tenant", work.tenant)
            if await close_work(change.session, work) and entity is not None:
                await erase_tenant(change, entity, sql)
        return removed

    async def _take_away(self, work: Work) -> Removed:
        """Export, and drop or delete. Raises PlaceRefused when nothing was dropped, and the tenant can stay."""
        place, access = work.place, self._access(work.place)
        connect = access.connect
        if isinstance(place, SharedRows):
            exports = self._exports if work.data == "export" else None
            steps, export = await take_rows(place, connect, exports, f"{work.tenant}-{work.id}")
            return Removed(tuple(steps), export)
        if work.data != "export" or self._exports is None or not await is_there(place, connect):
            return Removed(tuple(await remove_place(place, connect)))
        done: list[Step] = []

        async def drop(session: Session, export: Export) -> None:
            if export.left_out:
                raise _not_all_of_it(export)
            for step in () if place.whole else await schema_drop(session, place):
                await session.execute(step.sql)
                done.append(step)

        if place.whole:
            await close_database(place, connect, closed=True)
        export = await export_place(place, connect, self._exports, f"{work.tenant}-{work.id}", drop, access.dump)
        if place.whole:
            done += await remove_place(place, connect)
        return Removed(tuple(done), export)

    async def _give_back(self, actor: Actor, work: Work, why: BaseException) -> None:
        """The tenant as it was before."""
        if isinstance(work.place, Place) and work.place.whole:
            await close_database(work.place, self._access(work.place).connect, closed=False)
        async with changing(self._store, actor) as change:
            if await close_work(change.session, work):
                await judge(change, [("tenant", work.tenant, work.body)])  # it may have become wrong meanwhile
                reason = str(why)[:500]
                await write_entity(change, "tenant", work.tenant, work.body, action="kept", reason=reason)

    # -- where

    def _place(self, tenant: Tenant, *, ddl: bool) -> Place | None:
        """Where the tenant's place is or will be. Raises Invalid for a target that places cannot be made on."""
        if tenant.isolation is Isolation.SHARED:
            return None
        access = self._configured(tenant, "or take the place as it is: place=adopt")
        return place_of(tenant, home=access.home, role=access.role, ddl=ddl, mark=secrets.token_hex(8))

    def _shared_rows(self, snapshot: Snapshot, tenant: Tenant) -> SharedRows:
        access = self._configured(tenant, "or leave its rows: data=keep")
        return shared_rows(snapshot, tenant, home=access.home, mark=secrets.token_hex(8))

    def _configured(self, tenant: Tenant, otherwise: str) -> TargetAccess:
        access = self._targets.get(tenant.target)
        if access is None:
            problems = Problems()
            hint = f"Add [api.targets.{tenant.target}] with a login that may change what is there, {otherwise}."
            problems.add(
                f"tenants.{tenant.id}.target", f"no administrator of target {tenant.target} is configured", hint
            )
            raise Invalid(tuple(problems.found))
        return access

    def _access(self, place: Place | SharedRows) -> TargetAccess:
        """Raises PlaceFailed where the configuration has lost the target since."""
        access = self._targets.get(place.target)
        if access is None:
            raise PlaceFailed(f"no administrator of target {place.target} is configured any more")
        return access


def _not_all_of_it(export: Export) -> PlaceRefused:
    listed = ", ".join(export.left_out[:20])
    hint = (
        "Install a pg_dump that is no older than the server (Debian: postgresql-client) or name it in api.pg_dump; or"
        " export them by other means, then delete with data=destroy and the tenant's id as the word."
    )
    why = f" ({export.why_left_out})" if export.why_left_out else ""
    return PlaceRefused(f"an export does not hold all of it: {listed}{why}", hint=hint)
