"""Make a tenant's place, undo what was made of it, remove it with all its rows; each again and again if need be."""

from __future__ import annotations

from collections.abc import Iterable

from admin.places.errors import PlaceFailed, PlaceRefused, PlaceTaken
from admin.places.place import (
    Place,
    connect_step,
    database_step,
    drop_database_step,
    drop_owner_steps,
    drop_schema_steps,
    filling_steps,
    owner_steps,
    rename_step,
    schema_steps,
)
from admin.places.server import Connect, Session
from admin.provision.steps import Step, literal

_LOCK = "SELECT pg_advisory_xact_lock(7302471)"  # one at a time: grants on one database would run into each other


async def make_place(place: Place, connect: Connect) -> list[Step]:
    """Make it, whole; return what was done. Raises PlaceFailed, with all undone that could be.

    When the server is lost on the way the undoing may fail, too: `undo_place` finishes it later.
    """
    done: list[Step] = []
    try:
        await (_make_database if place.whole else _make_schema)(place, connect, done)
    except PlaceFailed as error:
        try:
            await undo_place(place, connect)
        except PlaceFailed as left:
            error.hint = f"What was made of it is still there ({left.message}); it is undone as soon as can be."
        raise
    return done


async def undo_place(place: Place, connect: Connect) -> list[Step]:
    """Take away what the work with the place's mark has made, and nothing else. Raises PlaceFailed."""
    done: list[Step] = []
    async with connect(place.home) as home:
        await _run(
            home, [drop_database_step(place.draft)] if await _database(home, place.draft) is not None else [], done
        )
        ours = await _database(home, place.database) == place.comment if place.whole else False
        if ours:
            await _run(home, [drop_database_step(place.database)], done)
        role_is_ours = await _role(home, place.owner) == place.comment
        if place.whole and role_is_ours:
            await _in_one(home, drop_owner_steps(place), done)
    if not place.whole:
        await _undo_schema(place, connect, done)
    return done


async def remove_place(place: Place, connect: Connect) -> list[Step]:
    """Drop the schema or database with all that is in it, and the owner if we made it. Gone already: nothing to do."""
    done: list[Step] = []
    if place.whole:
        if place.database == place.home:
            raise PlaceRefused(
                f'database "{place.home}" is the target\'s own',
                hint="It is not dropped; only the tenant can be removed.",
            )
        async with connect(place.home) as home:
            if await _database(home, place.database) is not None:
                await _run(home, [drop_database_step(place.database)], done)
            if await _is_our_role(home, place):
                await _in_one(home, drop_owner_steps(place), done)
        return done
    async with connect(place.database) as session:
        steps = drop_schema_steps(place) if await _schema(session, place.schema or "") is not None else []
        if await _is_our_role(session, place):
            steps += drop_owner_steps(place)
        await _in_one(session, steps, done)
    return done


async def _make_schema(place: Place, connect: Connect, done: list[Step]) -> None:
    async with connect(place.database) as session:
        await _check(session, place)
        steps = [*owner_steps(place), *schema_steps(place)]
        if not await _may_connect(session, place):
            steps.append(connect_step(place))
        await _in_one(session, steps, done)


async def _make_database(place: Place, connect: Connect, done: list[Step]) -> None:
    async with connect(place.home) as home:
        await _check(home, place)
        if await _database(home, place.database) is not None:
            raise _taken(f'database "{place.database}" already exists')
        await _in_one(home, owner_steps(place), done)
        await _run(home, [database_step(place)], done)
        async with connect(place.draft) as draft:
            await _in_one(draft, filling_steps(place), done)
        await _run(home, [rename_step(place)], done)


async def _undo_schema(place: Place, connect: Connect, done: list[Step]) -> None:
    async with connect(place.database) as session:
        ours = await _schema(session, place.schema or "") == place.comment
        steps = drop_schema_steps(place) if ours else []
        if await _role(session, place.owner) == place.comment:
            steps += drop_owner_steps(place)
        await _in_one(session, steps, done)


# -- running and looking -------------------------------------------------------------------------------------------


async def _run(session: Session, steps: Iterable[Step], done: list[Step]) -> None:
    for step in steps:
        await session.execute(step.sql)
        done.append(step)


async def _in_one(session: Session, steps: list[Step], done: list[Step]) -> None:
    """All or nothing."""
    if not steps:
        return
    made: list[Step] = []
    await session.execute("BEGIN")
    try:
        await session.execute(_LOCK)
        await _run(session, steps, made)
        await session.execute("COMMIT")
    except PlaceFailed:
        await _give_up(session)
        raise
    done += made


async def _give_up(session: Session) -> None:
    try:
        await session.execute("ROLLBACK")
    except PlaceFailed:
        pass  # the connection is gone, and the transaction with it


async def _check(session: Session, place: Place) -> None:
    """Before anything is made: the gateway's role must be there, and the names free."""
    if not await session.rows(f"SELECT FROM pg_roles WHERE rolname = {literal(place.role)}"):
        hint = "Run `tenantgate provision` first: it makes the gateway's login role."
        raise PlaceRefused(f"role {place.role} does not exist on target {place.target}", hint=hint)
    if await _role(session, place.owner) is not None:
        raise _taken(f'role "{place.owner}" already exists')
    if not place.whole and await _schema(session, place.schema or "") is not None:
        raise _taken(f"{place.shown} already exists")


def _taken(message: str) -> PlaceTaken:
    return PlaceTaken(message, sqlstate="42710", hint="Name another, or remove that one first.")


async def _may_connect(session: Session, place: Place) -> bool:
    role, database = literal(place.role), literal(place.database)
    has = [f"has_database_privilege({role}, {database}, '{privilege}')" for privilege in ("CONNECT", "TEMPORARY")]
    return bool((await session.rows(f"SELECT {' AND '.join(has)}"))[0][0])


async def _database(session: Session, name: str) -> str | None:
    """The comment of a database, "" for one without, None when there is no such database."""
    return await _comment(session, "pg_database", "datname", name)


async def _role(session: Session, name: str) -> str | None:
    return await _comment(session, "pg_authid", "rolname", name, "pg_roles")


async def _schema(session: Session, name: str) -> str | None:
    sql = f"SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = {literal(name)}"  # noqa: S608
    found = await session.rows(sql)
    return str(found[0][0]) if found else None


async def _comment(session: Session, catalog: str, column: str, name: str, view: str | None = None) -> str | None:
    comment = f"coalesce(shobj_description(oid, '{catalog}'), '')"
    found = await session.rows(f"SELECT {comment} FROM {view or catalog} WHERE {column} = {literal(name)}")  # noqa: S608
    return str(found[0][0]) if found else None


async def _is_our_role(session: Session, place: Place) -> bool:
    """Made for this tenant, by whichever work."""
    comment = await _role(session, place.owner)
    return comment is not None and comment.startswith(f"TenantGate: tenant {place.tenant}, made by ")
