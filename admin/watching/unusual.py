"""Statements unlike a user's others: far from their nearest neighbours among that user's statements (FAISS).

Each tenant has an index of its own, of its last statements, so nothing of one tenant is compared with, or learned
from, another. A statement is told when its distance is far outside of what the user's statements had so far, with the
features that differ most from its neighbours'. Bounded: twice MAX_VECTORS per tenant, MAX_TENANTS in memory; the rest
is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from admin.audit_search.facets import text_of
from admin.watching.features import DIMENSIONS, GROUPS, in_words, vector_of
from admin.watching.rules import Alert
from policy.errors import TenantGateError

if TYPE_CHECKING:
    import numpy

MAX_VECTORS: Final = 4096
MAX_TENANTS: Final = 100
_OF_USER: Final = 512
_NEIGHBOURS: Final = 5
_LEAST: Final = 50  # statements of a user before anything of it is unusual
_DEVIATIONS: Final = 4.0
_NEAR: Final = 0.75  # what is nearer than this is never unusual
_QUIET_S: Final = 3600.0


class NoFaiss(TenantGateError):
    """`unusual = true` wants the extra [vector]."""

    kind = "audit_watch"


class Unusual:
    """The indexes of all tenants, in a directory. Lifetime: of one watcher."""

    def __init__(self, directory: Path) -> None:
        try:
            import faiss  # noqa: F401
        except ImportError as error:
            hint = "Install it: pip install 'tenantgate[vector]', or set unusual = false"
            raise NoFaiss("[audit.watch] unusual needs FAISS", hint=hint) from error
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._tenants: dict[str, TenantVectors] = {}

    def take(self, event: Mapping[str, object]) -> list[Alert]:
        """Learn a statement that ran, and say so when it is unlike the user's others."""
        tenant, subject = text_of(event, "tenant"), text_of(event, "subject")
        if text_of(event, "event") != "statement" or text_of(event, "outcome") != "ok" or not (tenant and subject):
            return []
        vectors = self._tenants.pop(tenant, None) or TenantVectors(self._directory, tenant)
        self._tenants[tenant] = vectors  # the last one used stands last
        if len(self._tenants) > MAX_TENANTS:
            self._tenants.pop(next(iter(self._tenants))).save()
        said = vectors.take(event, subject)
        return [] if said is None else [Alert("unusual_statement", "notice", f"{subject} of {tenant}: {said}", event)]

    def save(self) -> None:
        """Put all of it on the disk. Raises OSError."""
        for vectors in self._tenants.values():
            vectors.save()


class TenantVectors:
    """One tenant's last statements. Invariant: `owners[n]` is whose vector n of the index is."""

    def __init__(self, directory: Path, tenant: str) -> None:
        import faiss

        name = hashlib.sha256(tenant.encode("utf-8", "backslashreplace")).hexdigest()[:32]
        self._path = directory / f"{name}.faiss"
        self._faiss: Any = faiss
        self._index: Any = faiss.IndexFlatL2(DIMENSIONS)
        self._owners: list[str] = []
        self._users: dict[str, dict[str, float]] = {}  # mean, variance and count of distances; when it was told last
        self._restore()

    def _restore(self) -> None:
        try:
            kept = json.loads(self._path.with_suffix(".json").read_bytes())
            index = self._faiss.read_index(str(self._path))
        except (OSError, ValueError, RuntimeError):
            return
        if index.ntotal == len(kept["owners"]) and index.d == DIMENSIONS:
            self._index, self._owners, self._users = index, kept["owners"], kept["users"]

    def take(self, event: Mapping[str, object], subject: str) -> str | None:
        import numpy

        vector = numpy.asarray([vector_of(event)], dtype="float32")
        said = self._judge(event, subject, vector)
        self._index.add(vector)
        self._owners.append(subject)
        if len(self._owners) >= 2 * MAX_VECTORS:
            self._forget()
        return said

    def _judge(self, event: Mapping[str, object], subject: str, vector: numpy.ndarray[Any, Any]) -> str | None:
        import numpy

        ids = [n for n in range(len(self._owners) - 1, -1, -1) if self._owners[n] == subject][:_OF_USER]
        if len(ids) < _NEIGHBOURS:
            return None
        chosen = self._faiss.IDSelectorBatch(numpy.asarray(ids, dtype="int64"))
        parameters = self._faiss.SearchParameters(sel=chosen)
        distances, found = self._index.search(vector, _NEIGHBOURS, params=parameters)
        distance = float(numpy.sqrt(numpy.maximum(distances[0], 0)).mean())
        user = self._users.setdefault(subject, {"mean": 0.0, "variance": 0.0, "count": 0.0, "told": 0.0})
        unusual = self._is_far(user, distance, len(ids)) and _time(event) - user["told"] > _QUIET_S
        _learn(user, distance)
        if not unusual:
            return None
        user["told"] = _time(event)
        neighbours = numpy.stack([self._index.reconstruct(int(n)) for n in found[0] if n >= 0])
        return _explained(event, vector[0], neighbours.mean(axis=0), distance, user["mean"])

    def _is_far(self, user: Mapping[str, float], distance: float, known: int) -> bool:
        spread = _DEVIATIONS * math.sqrt(user["variance"])
        return known >= _LEAST and distance > max(_NEAR, user["mean"] + spread)

    def _forget(self) -> None:
        """Keep the newest half."""
        kept = self._index.reconstruct_n(len(self._owners) - MAX_VECTORS, MAX_VECTORS)
        self._index = self._faiss.IndexFlatL2(DIMENSIONS)
        self._index.add(kept)
        self._owners = self._owners[-MAX_VECTORS:]
        self._users = {name: user for name, user in self._users.items() if name in set(self._owners)}

    def save(self) -> None:
        """Index and owners; when only one of them is there, the tenant is learned anew."""
        scratch = self._path.with_suffix(".new")
        self._faiss.write_index(self._index, str(scratch))
        scratch.replace(self._path)
        data = json.dumps({"owners": self._owners, "users": self._users}).encode()
        scratch.write_bytes(data)
        scratch.chmod(0o600)
        os.replace(scratch, self._path.with_suffix(".json"))  # noqa: PTH105 (as beside it)


def _learn(user: dict[str, float], distance: float) -> None:
    """Running mean and variance, in which the last hundred or so count."""
    user["count"] += 1
    weight = max(1 / user["count"], 0.01)
    difference = distance - user["mean"]
    user["mean"] += weight * difference
    user["variance"] = (1 - weight) * (user["variance"] + weight * difference**2)


def _explained(
    event: Mapping[str, object],
    vector: numpy.ndarray[Any, Any],
    usual: numpy.ndarray[Any, Any],
    distance: float,
    mean: float,
) -> str:
    parts = {name: float(((vector[a:b] - usual[a:b]) ** 2).sum()) for name, (a, b) in GROUPS.items()}
    total = sum(parts.values()) or 1.0
    most = sorted(parts, key=lambda name: -parts[name])[:3]
    why = ", ".join(f"{in_words(event, name)} ({100 * parts[name] / total:.0f} %)" for name in most if parts[name])
    return f"a statement unlike the others ({distance:.1f} from its neighbours, {mean:.1f} on average): {why}"


def _time(event: Mapping[str, object]) -> float:
    value = event.get("time")
    return float(value) if isinstance(value, int | float) else 0.0
