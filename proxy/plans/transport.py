"""What goes between the gateway and a compiling process: frames of a length and a pickle.

The dataclasses are pickled by their fields: those of the compiled build could not be otherwise, and mappings go as
plain dicts. Both ends are of one installation; nothing that a client sent is ever unpickled.
"""

from __future__ import annotations

import copyreg
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from policy.access import Access, TableAccess
from policy.model import TableRule
from policy.sql import catalog
from policy.sql.plan import ClientText, CompiledQuery, CopyStamp, Plan, Slot

HEADER = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Put:
    """Keep an Access or a Catalog under a number, for the requests to come."""

    number: int
    value: Any


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget what was put."""

    number: int


@dataclass(frozen=True, slots=True)
class Compile:
    """Compile a text; answered by a Compiled. access, catalog: numbers of what was put."""

    access: int
    catalog: int
    schema: str
    text: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """query: None when compiling raised what it must not; `error` is the traceback then."""

    query: CompiledQuery | None
    error: str = ""


def encode(message: object) -> bytes:
    """One frame."""
    body = encode_body(message)
    return HEADER.pack(len(body)) + body


def encode_body(message: object) -> bytes:
    """What stands in a frame behind its length."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def decode(body: bytes) -> Any:
    """What a frame's body holds."""
    return pickle.loads(body)  # noqa: S301 - of a process that we started


def _by_fields(cls: Any) -> Callable[[Any], tuple[Any, tuple[Any, ...]]]:
    names = tuple(field.name for field in fields(cls))
    return lambda value: (cls, tuple(getattr(value, name) for name in names))


def _as_dict(mapping: MappingProxyType[Any, Any]) -> tuple[Any, tuple[Any, ...]]:
    return dict, (dict(mapping),)


for _class in (
    Access, TableAccess, TableRule, catalog.Catalog, catalog.Column, catalog.ForeignKey, catalog.Relation,
    catalog.UserFunction, catalog.UserOperator, catalog.UserCast, catalog.UserType,
    ClientText, CompiledQuery, CopyStamp, Plan, Slot,
):  # fmt: skip
    copyreg.pickle(_class, _by_fields(_class))
copyreg.pickle(MappingProxyType, _as_dict)
