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
from admin.provision.steps import Step, ident, literal

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
            error.left_behind = True
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
    check_removable(place)
    if place.whole:
        async with connect(place.home) as home:
            if await _database(home, place.database) is not None:
                await _run(home, [drop_database_step(place.database)], done)
            if await _is_our_role(home, place):
                await _in_one(home, drop_owner_steps(place), done)
        return done
    async with connect(place.database) as session:
        await _in_one(session, await schema_drop(session, place), done)
    return done


async def schema_drop(session: Session, place: Place) -> list[Step]:
    """What removes a schema, of a session in its database."""
    steps = drop_schema_steps(place) if await _schema(session, place.schema or "") is not None else []
    return [*steps, *drop_owner_steps(place)] if await _is_our_role(session, place) else steps


def check_removable(place: Place) -> None:
    """Raises PlaceRefused for what others use, too."""
    if place.whole and place.database == place.home:
        hint = "It is not dropped: take the tenant out of the policy only, with data=keep."
        raise PlaceRefused(f'database "{place.home}" is the target\'s own', hint=hint)
    if place.schema == "public":
        raise PlaceRefused("schema public is everybody's", hint="Take the tenant out of the policy only: data=keep.")


async def is_there(place: Place, connect: Connect) -> bool:
    """Whether the schema or database exists."""
    async with connect(place.home if place.whole else place.database) as session:
        found = _database(session, place.database) if place.whole else _schema(session, place.schema or "")
        return await found is not None


async def close_database(place: Place, connect: Connect, *, closed: bool) -> None:
    """Let nobody but superusers into the tenant's database, and end who is there; or open it to the gateway again."""
    database, role = ident(place.database), ident(place.role)
    async with connect(place.home) as home:
        if await _database(home, place.database) is None:
            return
        if closed:
            await home.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC, {role}")
            there = f"FROM pg_stat_activity WHERE datname = {literal(place.database)}"
            await home.execute(f"SELECT pg_terminate_backend(pid, 5000) {there}")
        else:
            await home.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")


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
