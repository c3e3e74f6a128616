"""Which roles a role is made of: inheritance is a DAG, and what a role has is the union of all that it inherits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from policy.builtin_roles import BUILTIN_ROLES
from policy.model import Role

Path = tuple[str, ...]


def find_role(roles: Mapping[str, Role], name: str, tenant: str | None) -> Role | None:
    """The role that a name means in a tenant: its own, else everybody's, else a built-in one. None: no such role."""
    owner, slash, bare = name.rpartition("/")
    if slash and owner != tenant:
        return None
    if tenant is not None and (own := roles.get(f"{tenant}/{bare}")) is not None:
        return own
    return None if slash else roles.get(name) or BUILTIN_ROLES.get(name)


def inherited(roles: Mapping[str, Role], held: Iterable[Role]) -> dict[str, tuple[Role, Path]]:
    """Every role that counts for who holds `held`, by name, with the way to it: (held role, …, the role itself).

    A name that means no role gives nothing. Ends in a cycle, too.
    """
    found: dict[str, tuple[Role, Path]] = {}
    first = sorted(held, key=lambda role: role.name, reverse=True)
    waiting: list[tuple[Role, Path]] = [(role, (role.name,)) for role in first]
    while waiting:
        role, path = waiting.pop()
        if role.name in found:
            continue
        found[role.name] = role, path
        for name in reversed(role.inherits):
            parent = find_role(roles, name, role.tenant)
            if parent is not None and parent.name not in found:
                waiting.append((parent, (*path, parent.name)))
    return found


def find_cycle(roles: Mapping[str, Role], start: Role, safe: set[str]) -> Path:
    """A way from a role that `start` inherits back to itself: (a, b, a); () when there is none.

    safe: names from which no cycle can be reached; those that this search finds so are added.
    """
    way: list[tuple[Role, list[str]]] = [(start, list(start.inherits))]
    on_way = {start.name: 0}
    while way:
        role, left = way[-1]
        if not left:
            way.pop()
            del on_way[role.name]
            safe.add(role.name)
            continue
        parent = find_role(roles, left.pop(), role.tenant)
        if parent is None or parent.name in safe:
            continue
        if parent.name in on_way:
            return (*(r.name for r, _ in way[on_way[parent.name] :]), parent.name)
        on_way[parent.name] = len(way)
        way.append((parent, list(parent.inherits)))
    return ()
