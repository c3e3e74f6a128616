"""The store on SQLite and on PostgreSQL: one change is one transaction, whoever else is writing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select

from admin.services import documents
from admin.services.actor import Actor, permissions_for
from admin.services.assignments import put_assignment
from admin.services.entity import Page
from admin.services.errors import Conflict, EtagMismatch, Invalid, NotFound, Refused, StoreUnavailable, VersionMismatch
from admin.services.events import list_events, verify_events
from admin.services.keeping import get, put, remove
from admin.services.revocations import lift_revocation, revoke
from admin.services.targets import delete_target, put_target
from admin.services.tenants import (
    TenantFilter,
    create_tenant,
    delete_tenant,
    get_tenant,
    list_tenants,
    merge_patch,
    patch_tenant,
    put_flags,
    put_quotas,
    replace_tenant,
)
from admin.store import works as _works  # noqa: F401 - its table is one of the models, too
from admin.store.engine import Store
from admin.store.tables import AdminEventRow, Base, PolicyEntryRow
from admin.store.upgrade import open_store, upgrade
from policy.changes import EMPTY
from policy.document import parse_policy
from policy.entries import Entry, read_entries
from proxy.config import PolicyConfig
from proxy.policy_feed.follower import snapshot_of
from proxy.policy_feed.source import open_source
from tests.integration.policy_store.conftest import ROOT, StoreStage, demo_document

SHARED = {"isolation": "shared", "target": "shop"}


def on(stage: StoreStage, work: Callable[[Store], Awaitable[Any]]) -> Any:
    async def main(store: Store) -> Any:
        await put_target(store, ROOT, "shop", {"database": "shop"})
        return await work(store)

    return stage.run(main)


async def trace(store: Store) -> tuple[Any, ...]:
    """Version, feed and log."""
    async with store.reading() as session:
        entries = (await session.execute(select(PolicyEntryRow.kind, PolicyEntryRow.id, PolicyEntryRow.version))).all()
        lines = (await session.execute(select(AdminEventRow.seq))).scalars().all()
    version, _ = await documents.export_document(store, ROOT)
    return version, set(map(tuple, entries)), len(lines)


def test_a_change_is_whole_or_not_at_all(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        await create_tenant(store, ROOT, "acme", {**SHARED, "quotas": {"connections": 3}, "flags": {"copy": "off"}})
        before = await trace(store)
        assert before == (2, {("tenant", "acme", 2)}, 3)  # the header and two changes
        for body in ({**SHARED, "value": "acme"}, {**SHARED, "target": "nowhere"}, {**SHARED, "tyer": "pro"}, {}):
            with pytest.raises(Invalid):
                await create_tenant(store, ROOT, "globex", body)
        with pytest.raises(Conflict):
            await create_tenant(store, ROOT, "acme", SHARED)
        with pytest.raises(Refused):
            await delete_tenant(store, ROOT, "acme", word="yes")
        same = await put_quotas(store, ROOT, "acme", {"connections": 3})
        assert same.etag == "2"
        assert await trace(store) == before  # what changes nothing is no change
        await put_flags(store, ROOT, "acme", {})
        entity = await get_tenant(store, ROOT, "acme")
        assert (entity.body, entity.etag, entity.version) == ({**SHARED, "quotas": {"connections": 3}}, "3", 3)
        await delete_tenant(store, ROOT, "acme", word="acme")
        with pytest.raises(NotFound):
            await get_tenant(store, ROOT, "acme")
        assert await verify_events(store, ROOT) == 5

    on(stage, work)


def test_who_read_an_older_state_changes_nothing(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        made = await create_tenant(store, ROOT, "acme", SHARED)
        newer = await patch_tenant(store, ROOT, "acme", {"tier": "pro"}, etag=made.etag)
        for change in (
            lambda: replace_tenant(store, ROOT, "acme", SHARED, etag=made.etag),
            lambda: delete_tenant(store, ROOT, "acme", word="acme", etag=made.etag),
        ):
            with pytest.raises(EtagMismatch) as caught:
                await change()
            assert caught.value.current == newer.etag
        assert (await get_tenant(store, ROOT, "acme")).body["tier"] == "pro"

    on(stage, work)


def test_an_etag_is_not_that_of_what_comes_later_by_the_same_name(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        first = await create_tenant(store, ROOT, "acme", SHARED)
        await delete_tenant(store, ROOT, "acme", word="acme", etag=first.etag)
        again = await create_tenant(store, ROOT, "acme", SHARED)
        assert again.body == first.body
        with pytest.raises(EtagMismatch):
            await delete_tenant(store, ROOT, "acme", word="acme", etag=first.etag)

    on(stage, work)


def test_of_many_writers_one_gets_a_place(stage: StoreStage) -> None:
    """Each through a pool of its own, as processes would."""

    async def attempt(number: int) -> str:
        store = await open_store(stage.url)
        try:
            await create_tenant(store, ROOT, f"t{number}", {**SHARED, "value": "the same"})
            return "made"
        except Invalid as error:
            return error.problems[0][0].rpartition(".")[2]
        finally:
            await store.close()

    async def work(store: Store) -> None:
        outcomes = await asyncio.gather(*(attempt(number) for number in range(6)))
        assert sorted(outcomes) == ["made", *["value"] * 5]
        version, entries, lines = await trace(store)
        assert (version, len(entries), lines) == (2, 1, 3)

    on(stage, work)


def test_versions_come_into_force_in_their_order(stage: StoreStage) -> None:
    """A gateway that reads while many write never misses an entry: what it has seen of the feed is a whole version."""

    async def follow(stop: asyncio.Event) -> Any:
        source, snapshot = open_source(PolicyConfig(stage.url)), EMPTY
        try:
            while True:
                last = stop.is_set()
                batch = await source.read(snapshot.version)
                snapshot = await snapshot_of(batch, snapshot, {"shop": "shop"})
                if last:
                    return snapshot
                await asyncio.sleep(0)
        finally:
            await source.close()

    async def write(store: Store, writer: int) -> None:
        for number in range(8):
            await create_tenant(store, ROOT, f"t{writer}-{number}", SHARED)
            await patch_tenant(store, ROOT, f"t{writer}-{number}", {"name": f"{number}"})

    async def work(store: Store) -> None:
        stop = asyncio.Event()
        following = asyncio.create_task(follow(stop))
        await asyncio.gather(*(write(store, writer) for writer in range(3)))
        stop.set()
        snapshot = await following
        assert snapshot.version == 1 + 48
        assert sorted(t.name for t in snapshot.tenants.values()) == sorted(str(n) for n in range(8) for _ in range(3))

    on(stage, work)


def test_the_feed_is_what_the_document_says(stage: StoreStage) -> None:
    from admin.policy_files.writing import document_text

    async def work(store: Store) -> None:
        plan = await documents.apply_document(store, ROOT, demo_document())
        version, document = await documents.export_document(store, ROOT)
        assert version == plan.version
        async with store.reading() as session:
            rows = (await session.execute(select(PolicyEntryRow.kind, PolicyEntryRow.id, PolicyEntryRow.body))).all()
        entries = [Entry(*row) for row in rows]
        assert read_entries(entries, {"shop"})
        del document["targets"]
        parsed = parse_policy(document_text(document), version=version, targets={"shop"})
        source = open_source(PolicyConfig(stage.url))
        assert await snapshot_of(await source.read(0), EMPTY, {"shop": "shop"}) == parsed
        await source.close()

    on(stage, work)


def test_a_document_is_planned_applied_and_exported(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        first = await documents.plan_document(store, ROOT, demo_document())
        count = sum(len(bodies) for bodies in demo_document().values()) - 1  # the target is there already
        assert len(first.differences) == count
        applied = await documents.apply_document(store, ROOT, demo_document(), expect_version=first.version)
        assert (applied.differences, applied.version) == (first.differences, first.version + 1)
        version, exported = await documents.export_document(store, ROOT)
        again = await documents.apply_document(store, ROOT, exported)
        assert (again.version, again.differences) == (version, ())
        with pytest.raises(VersionMismatch):
            await documents.apply_document(store, ROOT, demo_document(), expect_version=first.version)
        swapped = {
            "tenants": merge_patch(exported["tenants"], {"acme": {"value": "globex"}, "globex": {"value": "acme"}})
        }
        assert [d.id for d in (await documents.apply_document(store, ROOT, swapped)).differences] == ["acme", "globex"]
        less = {"roles": {"app": exported["roles"]["app"]}}
        gone = await documents.apply_document(store, ROOT, less)
        assert {d.id for d in gone.differences} == set(exported["roles"]) - {"app"}
        assert (await get_tenant(store, ROOT, "initech")).body[
            "schema"
        ] == "initech"  # a section that is not there stays
        assert await verify_events(store, ROOT) == 1 + 1 + count + 2 + len(gone.differences)

    on(stage, work)


def test_a_wrong_document_tells_all_and_changes_nothing(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        await documents.apply_document(store, ROOT, demo_document())
        before = await trace(store)
        wrong: dict[str, Any] = {
            "targets": {"elsewhere": {"database": "x"}},
            "roles": {"a": {"inherits": ["b"]}, "b": {"inherits": ["a"]}, "c": {"permissions": ["table:*:fly"]}},
        }
        with pytest.raises(Invalid) as caught:
            await documents.apply_document(store, ROOT, wrong)
        assert [place for place, _, _ in caught.value.problems] == ["targets.shop"]
        del wrong["targets"]
        with pytest.raises(Invalid) as caught:
            await documents.apply_document(store, ROOT, wrong)
        assert [place for place, _, _ in caught.value.problems] == ["roles.c.permissions[0]"]
        assert await trace(store) == before

    on(stage, work)


def test_a_line_of_the_log_that_was_changed_is_found(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        for number in range(3):
            await create_tenant(store, ROOT, f"t{number}", SHARED)
        events, cursor = await list_events(store, ROOT, page=Page(2))
        assert [(e["action"], e["entity"]) for e in events] == [("create", "t2"), ("create", "t1")]
        more, _ = await list_events(store, ROOT, page=Page(2, cursor))
        assert [e["entity"] for e in more] == ["t0", "shop"]
        assert events[0]["after"] == SHARED
        async with store.connecting() as connection:
            await connection.exec_driver_sql("UPDATE audit_log SET line = replace(line, 't1', 't9') WHERE seq = 4")
            await connection.commit()
        with pytest.raises(ValueError, match="line 4"):
            await verify_events(store, ROOT)

    on(stage, work)


def test_lists_come_in_pages_and_by_filters(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        for number in range(5):
            await create_tenant(store, ROOT, f"t{number}", {**SHARED, "tier": "pro" if number % 2 else "free"})
        first = await list_tenants(store, ROOT, page=Page(3))
        second = await list_tenants(store, ROOT, page=Page(3, first.next_cursor))
        assert [e.id for e in (*first.entities, *second.entities)] == [f"t{n}" for n in range(5)]
        assert second.next_cursor is None
        found = await list_tenants(store, ROOT, TenantFilter(tier="pro", search="T3"))
        assert [e.id for e in found.entities] == ["t3"]
        for page in (Page(0), Page(501), Page(1, "nonsense")):
            with pytest.raises(Invalid):
                await list_tenants(store, ROOT, page=page)

    on(stage, work)


def test_what_is_used_stays(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        await create_tenant(store, ROOT, "acme", SHARED)
        await put(store, ROOT, "role", "clerk", {"permissions": ["table:orders:read"]})
        await put(store, ROOT, "assignment", "a", {"subject": "alice", "tenant": "acme", "roles": ["clerk"]})
        with pytest.raises(Invalid, match="still used"):
            await remove(store, ROOT, "role", "clerk")
        with pytest.raises(Conflict, match="1 tenant"):
            await delete_target(store, ROOT, "shop")
        with pytest.raises(Conflict, match="database cannot be another"):
            await put_target(store, ROOT, "shop", {"database": "other"})
        await delete_tenant(store, ROOT, "acme", word="acme")  # with the assignment
        await remove(store, ROOT, "role", "clerk")
        await delete_target(store, ROOT, "shop")

    on(stage, work)


def test_a_revocation_is_bound_to_who_makes_it(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        await create_tenant(store, ROOT, "acme", SHARED)
        await create_tenant(store, ROOT, "globex", SHARED)
        admin = Actor("admin", "acme", permissions_for("own"))
        made = await revoke(store, admin, {"subject": "bob@globex"})
        assert made.id == "subject/acme/bob@globex"  # its own tenant's, whatever the name looks like
        for tenant in ("globex", "nowhere"):
            with pytest.raises(NotFound):
                await revoke(store, admin, {"subject": "bob", "tenant": tenant})
        everywhere = await revoke(store, ROOT, {"jti": "1", "until": "2027-01-31T12:00:00Z"})
        with pytest.raises(NotFound):
            await lift_revocation(store, admin, everywhere.id)
        with pytest.raises(NotFound):
            await get(store, admin, "revocation", everywhere.id)
        for body in ({}, {"jti": "1", "subject": "a"}, {"jti": "1", "until": "tomorrow"}, {"subject": "\n"}):
            with pytest.raises(Invalid):
                await revoke(store, ROOT, body)

    on(stage, work)


def test_the_migrations_make_what_the_models_say(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        assert await upgrade(store) == await upgrade(store)
        async with store.connecting() as connection:
            differences = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync), Base.metadata)
            )
        assert differences == []

    on(stage, work)


@pytest.mark.parametrize(("kind", "text"), [("role", '{"permissions": ["table:*:fly"]}'), ("spell", "{}")])
def test_a_store_that_is_not_understood_is_changed_by_nobody(stage: StoreStage, kind: str, text: str) -> None:
    on(stage, lambda store: create_tenant(store, ROOT, "acme", SHARED))
    stage.sql(f"INSERT INTO policy_entries SELECT '{kind}', 'broken', version, '{text}' FROM policy_version")
    with pytest.raises(StoreUnavailable, match="broken"):
        stage.run(lambda store: create_tenant(store, ROOT, "globex", SHARED))
    stage.sql("DELETE FROM policy_entries WHERE id = 'broken'")
    stage.run(lambda store: create_tenant(store, ROOT, "globex", SHARED))


def test_a_store_that_was_put_back_is_read_anew(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        await create_tenant(store, ROOT, "acme", SHARED)
        await create_tenant(store, ROOT, "globex", SHARED)
        source, targets = open_source(PolicyConfig(stage.url)), {"shop": "shop"}
        snapshot = await snapshot_of(await source.read(0), EMPTY, targets)
        assert set(snapshot.tenants) == {"acme", "globex"}
        async with store.connecting() as connection:  # as from a backup of before globex
            for table in ("policy_entries WHERE id", "places WHERE tenant", "tenants WHERE id"):
                await connection.exec_driver_sql(f"DELETE FROM {table} = 'globex'")
            await connection.exec_driver_sql("UPDATE policy_version SET version = 2")
            await connection.commit()
        batch = await source.read(snapshot.version)
        assert (batch.base, batch.version) == (0, 2)
        assert set((await snapshot_of(batch, EMPTY, targets)).tenants) == {"acme"}
        await source.close()
        await create_tenant(store, ROOT, "newer", {**SHARED, "value": "globex"})

    on(stage, work)


def test_ids_of_assignments_do_not_tell_of_other_tenants(stage: StoreStage) -> None:
    async def work(store: Store) -> None:
        for tenant in ("acme", "globex"):
            await create_tenant(store, ROOT, tenant, SHARED)
        await put(store, ROOT, "role", "clerk", {"permissions": ["table:orders:read"]})
        await put_assignment(store, ROOT, "night", {"group": "n", "tenant": "globex", "roles": ["clerk"]})
        admin = Actor("admin", "acme", permissions_for("own"))
        told = set()
        for name in ("night", "day"):  # one is there, one is not
            with pytest.raises(Refused) as caught:
                await put_assignment(store, admin, name, {"group": "n", "tenant": "acme", "roles": ["clerk"]})
            told.add(caught.value.message)
        assert len(told) == 1
        await put_assignment(store, admin, "night@acme", {"group": "n", "tenant": "acme", "roles": ["clerk"]})

    on(stage, work)
