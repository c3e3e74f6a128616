"""Plans kept by shape, per scope.

A scope is everything that a plan may depend on besides its text: permission set (whose id is a hash of all of it, so
that plans outlive snapshots that change nothing for them), catalog and schema. A session holds its scope, so a hot
lookup is one dict access with the shape's key. Denials are kept too, under their exact text. Versions are read when the
scope is taken, before anything is compiled under it. What is kept is bounded in bytes, for all scopes together
(room.py).

No plan holds a value of a tenant's or a principal's, nor a client's literal when it is kept under a shape. The key of a
plan that hangs on a literal is the text as the client wrote it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from policy.access import Access
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.lanes import ParameterForm, parameter_form
from policy.sql.plan import CompiledQuery
from policy.sql.shape import shape_of, without_literals
from proxy.plans.errors import CompilationFailed, TooComplex
from proxy.plans.room import KeptPlan, PlanRoom, bytes_of

NO_LITERALS: Final[tuple[str, ...]] = ()
MAX_KEPT_CHARACTERS: Final = 16_384  # longer texts are compiled each time: what is kept must stay bounded


class PlanScope:
    """The plans of one (access, catalog, schema). What it keeps takes of the `room`."""

    __slots__ = (
        "_by_query", "_by_shape", "_by_text", "_room", "access", "catalog", "hits", "last_s", "misses", "schema",
    )  # fmt: skip

    def __init__(self, access: Access, catalog: Catalog, schema: str, room: PlanRoom) -> None:
        self.access = access
        self.catalog = catalog
        self.schema = schema
        self._room = room
        self._by_shape: dict[str, KeptPlan] = {}
        self._by_text: dict[str, KeptPlan] = {}
        self._by_query: dict[int, KeptPlan] = {}  # by id() of the compiled query
        self.hits = 0
        self.misses = 0
        self.last_s = 0.0  # what the last compilation here took

    def __len__(self) -> int:
        return len(self._by_query)

    def plan(self, text: str) -> tuple[CompiledQuery, tuple[str, ...]]:
        """The plan for a query string and the client's literals to render it with."""
        shape = shape_of(text)
        if shape is not None:
            found = self._by_shape.get(shape.key)
            if found is not None:
                self.hits += 1
                found.used = True
                return found.query, shape.literals
        found = self._by_text.get(text)
        if found is not None:
            self.hits += 1
            found.used = True
            return found.query, NO_LITERALS
        return self._compile(text, None if shape is None else shape.key, shape.literals if shape else NO_LITERALS)

    def compile(self, text: str) -> CompiledQuery:
        """Compile without keeping anything. Raises CompilationFailed."""
        try:
            return compile_query(text, self.access, self.catalog, schema=self.schema)
        except Exception as error:  # a bug of ours must neither let the statement pass nor end the session
            raise CompilationFailed("the statement could not be compiled") from error

    def _compile(self, text: str, key: str | None, literals: tuple[str, ...]) -> tuple[CompiledQuery, tuple[str, ...]]:
        self.misses += 1
        began = time.perf_counter()
        compiled = self.compile(text)
        self.last_s = time.perf_counter() - began
        compiled = self._keep(text, key, compiled)
        return compiled, literals if compiled.by_shape and key is not None else NO_LITERALS

    def form(self, compiled: CompiledQuery) -> ParameterForm | None:
        """A plan of this scope with parameters in place of values, found out once while the plan is kept."""
        kept = self._by_query.get(id(compiled))
        if kept is None:
            return parameter_form(compiled)
        if not kept.form_known:
            kept.form, kept.form_known = parameter_form(compiled), True
            self._room.grow(kept, bytes_of(kept.form))
        return kept.form

    def has(self, text: str) -> bool:
        """Whether `plan` would find it."""
        return self.find(text) is not None

    def find(self, text: str) -> CompiledQuery | None:
        """The plan for a query string, if it is kept. Does not count."""
        kept = self._by_text.get(text)
        if kept is None and (shape := shape_of(text)) is not None:
            kept = self._by_shape.get(shape.key)
        return None if kept is None else kept.query

    def keep(self, text: str, compiled: CompiledQuery) -> None:
        """Take a plan that was compiled elsewhere for this scope; what could not be compiled may be another time."""
        if self.has(text):  # another session waited for it, too
            return
        self.misses += 1
        if isinstance(compiled.denial, CompilationFailed | TooComplex):
            return
        shape = shape_of(text) if compiled.by_shape else None
        self._keep(text, None if shape is None else shape.key, compiled)

    def _keep(self, text: str, key: str | None, compiled: CompiledQuery) -> CompiledQuery:
        """Keep it if it is not too long, and return it as it is kept."""
        by_shape = compiled.by_shape and key is not None
        name = key if by_shape and key is not None else text
        if len(name) > MAX_KEPT_CHARACTERS:
            return compiled
        if by_shape:
            compiled = _without_literals(compiled)
        kept = KeptPlan(self, name, compiled, by_shape=by_shape)
        plans = self._by_shape if by_shape else self._by_text
        plans[name] = self._by_query[id(compiled)] = kept
        self._room.add(kept)
        return compiled

    def forget(self, kept: KeptPlan) -> None:
        """It has to go, for want of room."""
        plans = self._by_shape if kept.by_shape else self._by_text
        del plans[kept.key], self._by_query[id(kept.query)]

    def clear(self) -> None:
        """Forget all plans and give their room back."""
        for kept in self._by_query.values():
            self._room.remove(kept)
        self._by_shape.clear()
        self._by_text.clear()
        self._by_query.clear()


def _without_literals(compiled: CompiledQuery) -> CompiledQuery:
    """What others than the session that sent it first will run must not hold what it wrote."""
    plans = [replace(plan, original=without_literals(plan.original)) for plan in compiled.plans]
    return CompiledQuery(tuple(plans), compiled.by_shape)


class PlanCache:
    """All scopes of a process. `prune` forgets those of versions that are gone."""

    __slots__ = ("_past_hits", "_past_misses", "_scopes", "room")

    def __init__(self, limit_bytes: int) -> None:
        self.room = PlanRoom(limit_bytes)
        self._scopes: dict[tuple[object, ...], PlanScope] = {}
        self._past_hits = 0  # of scopes that are gone
        self._past_misses = 0

    def scope(self, access: Access, catalog: Catalog, schema: str) -> PlanScope:
        """The scope for this permission set, whichever snapshot it is of, and this version of the catalog; made when it
        is new."""
        key = (access.id, catalog.database, access.target, catalog.version, schema)
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = PlanScope(access, catalog, schema, self.room)
        return scope

    def prune(self, keep: set[int]) -> None:
        """Drop scopes whose id() is not in `keep` (the scopes that sessions hold)."""
        for key, scope in tuple(self._scopes.items()):
            if id(scope) not in keep:
                del self._scopes[key]
                scope.clear()
                self._past_hits += scope.hits
                self._past_misses += scope.misses

    def scopes(self) -> tuple[PlanScope, ...]:
        return tuple(self._scopes.values())

    @property
    def hits(self) -> int:
        """Plans that were found since the start."""
        return self._past_hits + sum(scope.hits for scope in self._scopes.values())

    @property
    def misses(self) -> int:
        """Plans that had to be compiled since the start."""
        return self._past_misses + sum(scope.misses for scope in self._scopes.values())
