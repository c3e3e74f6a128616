"""What can be done to a relation, as bits: what each word of a permission grants, and what it denies.

admin implies write implies read. Denying goes the other way: who may not read may not do what reads.
"""

from __future__ import annotations

from collections.abc import Mapping

SELECT = 1
INSERT = 2
UPDATE = 4
DELETE = 8
COPY = 16
WRITE = INSERT | UPDATE | DELETE
EVERYTHING = SELECT | WRITE | COPY

GRANTED: Mapping[str, int] = {
    "read": SELECT | COPY,
    "select": SELECT,
    "insert": INSERT,
    "update": UPDATE | SELECT,  # its WHERE tells what is there
    "delete": DELETE | SELECT,
    "write": EVERYTHING,
    "admin": EVERYTHING,
    "copy": COPY,
    "*": EVERYTHING,
}
DENIED: Mapping[str, int] = {
    "read": SELECT | UPDATE | DELETE | COPY,
    "select": SELECT | UPDATE | DELETE | COPY,
    "insert": INSERT,
    "update": UPDATE,
    "delete": DELETE,
    "write": WRITE,
    "copy": COPY,
    "*": EVERYTHING,
}
WRITES: Mapping[str, int] = {"update": UPDATE, "delete": DELETE, "insert": INSERT}
