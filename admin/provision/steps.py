"""A step of provisioning: SQL with its reason, and what is written down so that it can be undone."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy import second_lock
from policy.sql.plan import quote_identifier, quote_literal

MADE_TABLE = f"{second_lock.SCHEMA}.made"
KEY_TABLE = f"{second_lock.SCHEMA}.key"
ident = quote_identifier


def literal(text: str) -> str:
    return quote_literal(text).strip()


def qualified(schema: str, name: str) -> str:
    return f"{ident(schema)}.{ident(name)}"


@dataclass(frozen=True, slots=True)
class Made:
    """One thing that provisioning made: kind is one of those that `revert` knows; detail is a privilege or policy."""

    kind: str
    schema: str = ""
    name: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """shown: what people see in place of SQL that holds a secret."""

    sql: str = field(repr=False)
    why: str
    made: Made | None = None
    shown: str = ""

    @property
    def text(self) -> str:
        return self.shown or self.sql
