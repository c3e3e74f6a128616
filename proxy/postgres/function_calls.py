"""FunctionCall: which functions may be called by their number, and the statement that says the same.

libpq and pgJDBC read and write large objects so, and nothing else is called this way by drivers of today. The numbers
are those of pg_proc.dat, the same in all versions. Source: protocol documentation, FunctionCall (F).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from proxy.postgres.wire.framing import HEADER_BYTES

_oid = struct.Struct("!I")
LARGE_OBJECTS: Final[Mapping[int, tuple[str, int]]] = {
    715: ("lo_create", 1),
    952: ("lo_open", 2),
    953: ("lo_close", 1),
    954: ("loread", 2),
    955: ("lowrite", 2),
    956: ("lo_lseek", 3),
    957: ("lo_creat", 1),
    958: ("lo_tell", 1),
    964: ("lo_unlink", 1),
    1004: ("lo_truncate", 2),
    3170: ("lo_lseek64", 3),
    3171: ("lo_tell64", 1),
    3172: ("lo_truncate64", 2),
}


def statement_of(message: bytes) -> str | None:
    """The SELECT to judge a FunctionCall by; None for a function that is not called this way."""
    if len(message) < HEADER_BYTES + _oid.size:
        return None
    known = LARGE_OBJECTS.get(_oid.unpack_from(message, HEADER_BYTES)[0])
    if known is None:
        return None
    name, arguments = known
    return f"SELECT pg_catalog.{name}({', '.join(f'${number + 1}' for number in range(arguments))})"
