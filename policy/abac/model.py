"""Attribute-based policies: when one applies is Cedar text, what then happens is its effect.

Frozen values, without Cedar itself: a snapshot that holds them can be sent to another process. docs/abac.md has the
words of the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DRAFT: Final = "draft"  # for replay only
DRY_RUN: Final = "dry_run"  # audited, not enforced
ACTIVE: Final = "active"
STATES: Final = (DRAFT, DRY_RUN, ACTIVE)

ALLOW: Final = "allow"
DENY: Final = "deny"
ROW_FILTER: Final = "row_filter"
MASK: Final = "mask"
LIMIT: Final = "limit"
REQUIRE_MFA: Final = "require_mfa"
REQUIRE_APPROVAL: Final = "require_approval"
EFFECTS: Final = (ALLOW, DENY, ROW_FILTER, MASK, LIMIT, REQUIRE_MFA, REQUIRE_APPROVAL)

TABLE_ACTIONS: Final = ("select", "insert", "update", "delete", "copy")
STATEMENT_ACTIONS: Final = ("ddl", "call", "explain")
COLUMN_ACTION: Final = "select"


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask of the library (masks.py). Unused fields keep their defaults.

    kind: null | constant | hash | partial | email | range | token | sql. text: of a constant its value, of `sql` the
    expression, of a range its step (a number, or a unit of time). first, last: characters that `partial` shows.
    """

    kind: str
    text: str = ""
    first: int = 0
    last: int = 0
    fill: str = "*"


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens where a policy applies. Which fields count is told by `kind`.

    rows, bytes: of one result. amr, acr: any of these in the token is a second factor. pattern: a regular expression
    that the whole approval reference must match.
    """

    kind: str
    row_filter: str = ""
    mask: Mask | None = None
    rows: int | None = None
    bytes: int | None = None
    amr: frozenset[str] = frozenset()
    acr: frozenset[str] = frozenset()
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. cedar: one `permit` or `forbid`, checked. time_zone: of its hours and weekdays."""

    id: str
    state: str
    cedar: str
    effect: Effect
    time_zone: str = "UTC"
    description: str = ""

    @property
    def restricts(self) -> bool:
        """Whether it only ever takes something away."""
        return self.effect.kind != ALLOW
