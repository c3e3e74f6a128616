"""A search_path that a client brings to its login, read as the server reads it."""

from __future__ import annotations

import re
from typing import Final

PATH: Final = "search_path"
_NAME: Final = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\s",][^\s,]*))\s*(,|$)')
_USER: Final = "$user"


def split_path(value: str) -> tuple[str, ...]:
    """The names, as in SplitIdentifierString: those without quotes in lower case. Raises ValueError."""
    names: list[str] = []
    position, more = 0, True
    while more:
        found = _NAME.match(value, position)
        if found is None:
            raise ValueError("not a list of names")
        names.append(found[1].replace('""', '"') if found[1] else _lower(found[2]))
        position, more = found.end(), found[3] == ","
    return tuple(names)


def is_path_of(schema: str, names: tuple[str, ...]) -> bool:
    """Whether a path says `schema` and no more; PostgreSQL's own default has the user's before it."""
    return names in ((schema,), (_USER, schema))


def _lower(name: str) -> str:
    """ASCII only, as the server does where characters may have several bytes."""
    return "".join(c.lower() if c.isascii() else c for c in name)
