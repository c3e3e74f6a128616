"""What an event can be found by: pairs of a kind and a value, and words. Pure; events are what a line's JSON holds.

The same function makes what is indexed and what a hit is checked against when it has been read back from its file, so
the index can only ever leave out or rank, not show what was not asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from admin.audit_search.risk import level_of, risk_of
from proxy.audit.conceal import is_concealed

Event = Mapping[str, object]
Facet = tuple[str, str]

TENANT, USER, TENANT_USER, ACTION, RELATION, COLUMN = "t", "u", "v", "a", "r", "c"
RESULT, FINGERPRINT, SESSION, RISK, EVENT = "o", "f", "s", "k", "e"
NUL = "\0"


def text_of(event: Event, name: str) -> str:
    """The member as text, "" when it is not there."""
    value = event.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def list_of(event: Event, name: str) -> list[str]:
    """The member as a list of texts."""
    value = event.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def facets_of(event: Event) -> set[Facet]:
    """Every pair that the event can be found by; names of actions and results in lower case."""
    tenant, subject = text_of(event, "tenant"), text_of(event, "subject")
    facets = {
        (TENANT, tenant), (USER, subject), (TENANT_USER, tenant + NUL + subject), (EVENT, text_of(event, "event")),
        (FINGERPRINT, text_of(event, "fingerprint")), (SESSION, text_of(event, "session")),
        (RISK, level_of(risk_of(event).score)),
    }  # fmt: skip
    facets.update((ACTION, text_of(event, name).lower()) for name in ("event", "command", "action"))
    facets.update((RESULT, text_of(event, name).lower()) for name in ("outcome", "decision", "sqlstate"))
    facets.update((RELATION, name) for full in list_of(event, "relations") for name in _shorter(full))
    facets.update((COLUMN, name) for full in list_of(event, "columns") for name in _shorter(full))
    return {facet for facet in facets if facet[1].strip(NUL)}


def _shorter(name: str) -> set[str]:
    """`public.orders.card` is found as itself, as `orders.card` and as `card`."""
    parts = name.split(".")
    return {".".join(parts[start:]) for start in range(len(parts))}


@lru_cache(maxsize=65_536)
def token(facet: Facet) -> str:
    """The word of the full-text index that stands for a pair."""
    kind, value = facet
    return kind + hashlib.blake2b(value.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def tokens_of(event: Event) -> str:
    """The tokens of `facets_of`, in words: parts that many events share are made once."""
    get = event.get
    who, what, result = (
        [(name, get(name)) for name in _WHO],
        [(n, get(n)) for n in _WHAT],
        [(n, get(n)) for n in _RESULT],
    )
    lists = tuple(list_of(event, "relations")), tuple(list_of(event, "columns"))
    fingerprint, session = text_of(event, "fingerprint"), text_of(event, "session")
    return " ".join(
        (
            _part(*who),
            _part(*what),
            _part(*result),
            _names(*lists),
            token((FINGERPRINT, fingerprint)) if fingerprint else "",
            _session(session) if session else "",
            token((RISK, level_of(risk_of(event).score))),
        )
    )


_WHO, _WHAT, _RESULT = ("tenant", "subject"), ("event", "command", "action"), ("outcome", "decision", "sqlstate")


@lru_cache(maxsize=65_536)
def _part(*members: tuple[str, object]) -> str:
    return _tokens(dict(members))


@lru_cache(maxsize=8192)
def _names(relations: tuple[str, ...], columns: tuple[str, ...]) -> str:
    return _tokens({"relations": list(relations), "columns": list(columns)})


@lru_cache(maxsize=8192)
def _session(session: str) -> str:
    return token((SESSION, session))


def _tokens(event: Event) -> str:
    return " ".join(token(facet) for facet in facets_of(event) if facet[0] != RISK)


def body_of(event: Event) -> str:
    """The text whose words an event is found by; none of a text that is encrypted, so that shredding leaves nothing."""
    names = ("statement", "reason", "application", "resource")
    return "\n".join(text for name in names if (text := text_of(event, name)) and not is_concealed(text))
