"""The feed: what a store of policy tells gateways. Entries as text to changes of a snapshot; pure.

Table `policy_entries(kind, id, version, body)` holds the newest state of every entity, `body` as canonical JSON or NULL
when it is gone, `version` the policy version of its last change; `policy_version` has one row, the newest version. A
gateway at version n is brought up to date by the entries whose version is above n. docs/control-plane.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from policy.changes import SECTIONS, Change, read_change
from policy.errors import ConfigurationError
from policy.problems import Problems, join_key

CHANNEL: Final = "tenantgate_policy"  # PostgreSQL's NOTIFY at each change, with the version
VERSION_QUERY: Final = "SELECT version FROM policy_version"
_ORDER: Final = {kind: number for number, kind in enumerate(SECTIONS)}
_HINT: Final = "Was it written by another version of TenantGate? Change it, or install that version here."


class Entry(NamedTuple):
    """body: canonical JSON; None: the entity is gone."""

    kind: str
    id: str
    body: str | None


class Batch(NamedTuple):
    """All that is new since version `base`, up to `version`. base 0: all that there is."""

    base: int
    version: int
    entries: Sequence[Entry]


def read_entries(entries: Iterable[Entry], targets: Collection[str]) -> list[Change]:
    """The changes that put entries in force. Raises ConfigurationError with everything that is not understood.

    targets: those of this gateway. A tenant on another one is no error, for it may be another gateway's: it is refused
    when it logs in here.
    """
    return [change for some in read_some(entries, targets, 2**31) for change in some]


def read_some(entries: Iterable[Entry], targets: Collection[str], at_once: int) -> Iterator[list[Change]]:
    """As `read_entries`, some at a time: the caller may do other things in between. Raises at the end."""
    problems = Problems()
    some: list[Change] = []
    for entry in sorted(entries, key=_order):
        if entry.kind not in SECTIONS:
            problems.add(join_key(entry.kind, entry.id), f"{entry.kind!r} is not known", _HINT)
            continue
        some.append(_read(problems, entry, targets))
        if len(some) >= at_once:
            yield some
            some = []
    if problems.found:
        raise ConfigurationError(tuple(problems.found))
    yield some


def _read(problems: Problems, entry: Entry, targets: Collection[str]) -> Change:
    if entry.body is None:
        return Change(entry.kind, entry.id, None)
    try:
        body = json.loads(entry.body)
    except ValueError:
        problems.add(join_key(SECTIONS[entry.kind], entry.id), "is not JSON", _HINT)
        return Change(entry.kind, entry.id, None)
    return read_change(problems, entry.kind, entry.id, body, {*targets, *_targets_of(entry, body)})


def _targets_of(entry: Entry, body: object) -> Iterator[str]:
    if entry.kind in ("tables", "functions"):
        yield entry.id
    elif isinstance(body, dict) and isinstance(body.get("target"), str):
        yield body["target"]


def _order(entry: Entry) -> int:
    return _ORDER.get(entry.kind, -1)
