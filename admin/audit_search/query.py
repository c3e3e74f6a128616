"""What is looked for: a `Query`, who asks: a `Scope`, and the full-text expression that both make. Pure."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

from admin.audit_search import facets
from admin.audit_search.facets import Facet
from admin.audit_search.risk import LEVELS
from policy.errors import TenantGateError

MAX_WORDS: Final = 20
_AGO: Final = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)")
_UNITS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_WORD: Final = re.compile(r"[^\W]+\*?")


class BadQuery(TenantGateError):
    """What is asked cannot be looked for; the message says why."""

    kind = "audit_search"
    default_sqlstate = "22023"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose events may be seen: those of `tenants`, or all with None, those of no tenant among them."""

    tenants: frozenset[str] | None = None

    def sees(self, event: Mapping[str, object]) -> bool:
        return self.tenants is None or (bool(event.get("tenant")) and event.get("tenant") in self.tenants)


EVERYTHING: Final = Scope(None)


@dataclass(frozen=True, slots=True)
class Query:
    """All that is given must hold. Names are exact; relations and columns may leave out their schema or relation.

    since, until: seconds since the epoch, from `since` on and before `until`. action: an event (`login`), a command
    (`SELECT`) or an action (`read`). result: an outcome, a decision or an SQLSTATE. text: words of the statement, the
    reason, the application or the resource, `word*` for a beginning. risk: this level or above.
    """

    since: float | None = None
    until: float | None = None
    tenant: str = ""
    user: str = ""
    action: str = ""
    relation: str = ""
    column: str = ""
    result: str = ""
    fingerprint: str = ""
    session: str = ""
    text: str = ""
    risk: str = ""

    def groups(self, scope: Scope) -> list[list[Facet]]:
        """Pairs of which an event must have one of each group. Raises BadQuery."""
        groups = [[(kind, value)] for kind, value in self._exact() if value]
        if self.tenant and self.user:
            groups.append([(facets.TENANT_USER, self.tenant + facets.NUL + self.user)])
        if self.risk:
            groups.append([(facets.RISK, level) for level in _from_level(self.risk)])
        if scope.tenants is not None:
            groups.append([(facets.TENANT, tenant) for tenant in sorted(scope.tenants)])
        return groups

    def _exact(self) -> tuple[Facet, ...]:
        return (
            (facets.TENANT, self.tenant), (facets.USER, self.user), (facets.ACTION, self.action.lower()),
            (facets.RELATION, self.relation), (facets.COLUMN, self.column), (facets.RESULT, self.result.lower()),
            (facets.FINGERPRINT, self.fingerprint), (facets.SESSION, self.session),
        )  # fmt: skip

    def match(self, scope: Scope) -> str:
        """The full-text expression; "" when everything fits. Raises BadQuery."""
        parts = [_any_of(group) for group in self.groups(scope)]
        parts += [f"{{body}} : {word}" for word in _words(self.text)]
        return " AND ".join(parts)

    def fits(self, event: Mapping[str, object], scope: Scope) -> bool:
        """True if what the file says is what was asked for, words aside."""
        found = facets.facets_of(event)
        return scope.sees(event) and all(any(facet in found for facet in group) for group in self.groups(scope))

    def digest(self, scope: Scope) -> str:
        """What a cursor belongs to: the same for the same question of the same asker."""
        asked = {field.name: getattr(self, field.name) for field in fields(self)}
        tenants = None if scope.tenants is None else sorted(scope.tenants)
        return hashlib.sha256(json.dumps([asked, tenants], sort_keys=True).encode()).hexdigest()


def _from_level(name: str) -> tuple[str, ...]:
    if name not in LEVELS:
        raise BadQuery(f"risk is one of {', '.join(LEVELS)}, not {name!r}", hint="risk=medium finds high ones, too.")
    return LEVELS[LEVELS.index(name) :]


def _any_of(group: list[Facet]) -> str:
    tokens = " OR ".join(facets.token(facet) for facet in group) or facets.token(("t", facets.NUL))
    return f"{{facets}} : ({tokens})"


def _words(text: str) -> list[str]:
    words = _WORD.findall(text)
    if text.strip() and not words:
        raise BadQuery("there is no word in the text to look for", hint="Words are letters, digits and underscores.")
    if len(words) > MAX_WORDS:
        raise BadQuery(f"more than {MAX_WORDS} words to look for", hint="Leave some out.")
    return [f'"{word[:-1]}"*' if word.endswith("*") else f'"{word}"' for word in words]


def parse_time(text: str, now: float | None = None) -> float:
    """Seconds since the epoch of an ISO 8601 time (UTC if it does not say) or of a time ago: 30min, 12h, 7d.

    Raises BadQuery.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return (time.time() if now is None else now) - int(ago[1]) * _UNITS[ago[2]]
    try:
        when = datetime.fromisoformat(text.strip())
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        hint = "Write 2026-11-27, 2026-11-27T14:00:00Z or how long ago: 30min, 12h, 7d."
        raise BadQuery(f"{text!r} is no time", hint=hint) from None
