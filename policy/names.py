"""Names of relations and columns as policy documents write them.

Written as in SQL: `orders`, `sales.orders`, `public."Invoices"`. PostgreSQL folds unquoted names to lower case, so
an unquoted name with a capital would silently never match: it is refused. The schema, when left out, is
`public` in shared and per-database isolation and the tenant's own schema in per-schema isolation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_SCHEMA = "public"
MAX_NAME_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL cuts longer ones, and then another name is meant

_QUOTED = r'"(?:[^"\0]|"")+"'
_PART = re.compile(rf"{_QUOTED}|[^\s\".*]+")
_FOLDED = re.compile(r"[a-z_\u0080-\U0010ffff][a-z0-9_$\u0080-\U0010ffff]*")


@dataclass(frozen=True, slots=True)
class TablePattern:
    """`schema.name`; None stands for `*`: (None, None) is every table, ("sales", None) is `sales.*`."""

    schema: str | None
    name: str | None

    def __str__(self) -> str:
        if self.schema is None:
            return "*"
        name = "*" if self.name is None else write_identifier(self.name)
        return f"{write_identifier(self.schema)}.{name}"


def parse_identifier(text: str) -> str:
    """The name that a catalog holds for an identifier. Raises ValueError, saying how to write it."""
    if _PART.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a name; names with special characters are written in double quotes")
    if text.startswith('"'):
        name = text[1:-1].replace('""', '"')
    elif _FOLDED.fullmatch(text):
        name = text
    elif _FOLDED.fullmatch(text.lower()):
        quoted = '"' + text + '"'
        raise ValueError(f"{text!r} has capitals: write {text.lower()}, or '{quoted}' if it was created in quotes")
    else:
        raise ValueError(f"{text!r} is not a plain name; write it as '\"{text}\"'")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"{text[:20]!r}… is longer than {MAX_NAME_BYTES} bytes, which PostgreSQL cuts")
    return name


def parse_table_name(text: str) -> tuple[str, str]:
    """(schema, name) of `orders`, `sales.orders`, `public."Invoices"`. Raises ValueError."""
    pattern = parse_table_pattern(text)
    if pattern.schema is None or pattern.name is None:
        raise ValueError(f"{text!r}: a single table must be named here, not a pattern")
    return pattern.schema, pattern.name


def parse_table_pattern(text: str) -> TablePattern:
    """As `parse_table_name`, also `*` (every table) and `sales.*` (every table of a schema)."""
    if text == "*":
        return TablePattern(None, None)
    parts = _split(text)
    if len(parts) == 1:
        return TablePattern(DEFAULT_SCHEMA, parse_identifier(parts[0]))
    schema = parse_identifier(parts[0])
    return TablePattern(schema, None if parts[1] == "*" else parse_identifier(parts[1]))


def write_identifier(name: str) -> str:
    """The way to write a catalog name so that `parse_identifier` gives it back."""
    return name if _FOLDED.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _split(text: str) -> list[str]:
    first = _PART.match(text)
    if first is None:
        raise ValueError(f"{text!r} is not the name of a table")
    if first.end() == len(text):
        return [text]
    rest = text[first.end() + 1 :]
    if text[first.end()] != "." or not (rest == "*" or _PART.fullmatch(rest)):
        raise ValueError(f"{text!r} is not the name of a table; write name or schema.name")
    return [first[0], rest]
