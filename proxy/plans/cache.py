"""Plans kept by shape, per scope.

A scope is everything that a plan may depend on besides its text: permission set, snapshot version, catalog and
schema. A session holds its scope, so a hot lookup is one dict access with the shape's key. Denials are kept too.
Versions are read when the scope is taken, before anything is compiled under it.
"""

from __future__ import annotations

import time

from policy.access import Access
from policy.errors import StatementRefused
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.lanes import ParameterForm, parameter_form
from policy.sql.plan import CompiledQuery
from policy.sql.shape import shape_of

NO_LITERALS: tuple[str, ...] = ()
MAX_KEPT_CHARACTERS = 16_384  # longer texts are compiled each time: what is kept must stay bounded


class CompilationFailed(StatementRefused):
    """Compiling ended in an unexpected error: the statement is refused, the client gets an id, the log the cause."""

    kind = "bug"
    default_sqlstate = "XX000"
    public = False


class TooComplex(StatementRefused):
    """Compiling went beyond its limits of time or memory (54001)."""

    kind = "unsupported"
    default_sqlstate = "54001"


class PlanScope:
    """The plans of one (access, snapshot version, catalog, schema). Bounded: the oldest plan goes first."""

    __slots__ = (
        "_by_shape", "_by_text", "_forms", "access", "capacity", "catalog", "hits", "last_s", "misses", "schema",
    )  # fmt: skip

    def __init__(self, access: Access, catalog: Catalog, schema: str, capacity: int) -> None:
        self.access = access
        self.catalog = catalog
        self.schema = schema
        self.capacity = capacity
        self._by_shape: dict[str, CompiledQuery] = {}
        self._by_text: dict[str, CompiledQuery] = {}
        self._forms: dict[int, tuple[CompiledQuery, ParameterForm | None]] = {}
        self.hits = 0
        self.misses = 0
        self.last_s = 0.0  # what the last compilation here took

    def __len__(self) -> int:
        return len(self._by_shape) + len(self._by_text)

    def plan(self, text: str) -> tuple[CompiledQuery, tuple[str, ...]]:
        """The plan for a query string and the client's literals to render it with."""
        shape = shape_of(text)
        if shape is not None:
            found = self._by_shape.get(shape.key)
            if found is not None:
                self.hits += 1
                return found, shape.literals
        found = self._by_text.get(text)
        if found is not None:
            self.hits += 1
            return found, NO_LITERALS
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
        self._keep(text, key, compiled)
        return compiled, literals if compiled.by_shape and key is not None else NO_LITERALS

    def form(self, compiled: CompiledQuery) -> ParameterForm | None:
        """A plan of this scope with parameters in place of values, found out once."""
        known = self._forms.get(id(compiled))
        if known is None or known[0] is not compiled:
            while len(self._forms) >= self.capacity:
                del self._forms[next(iter(self._forms))]
            known = self._forms[id(compiled)] = (compiled, parameter_form(compiled))
        return known[1]

    def has(self, text: str) -> bool:
        """Whether `plan` would find it."""
        shape = shape_of(text)
        return text in self._by_text or (shape is not None and shape.key in self._by_shape)

    def keep(self, text: str, compiled: CompiledQuery) -> None:
        """Take a plan that was compiled elsewhere for this scope; what could not be compiled may be another time."""
        if isinstance(compiled.denial, CompilationFailed | TooComplex):
            return
        shape = shape_of(text) if compiled.by_shape else None
        self._keep(text, None if shape is None else shape.key, compiled)

    def _keep(self, text: str, key: str | None, compiled: CompiledQuery) -> None:
        if compiled.by_shape and key is not None:
            _put(self._by_shape, key, compiled, self.capacity)
        else:
            _put(self._by_text, text, compiled, self.capacity)


def _put(plans: dict[str, CompiledQuery], key: str, plan: CompiledQuery, capacity: int) -> None:
    if len(key) > MAX_KEPT_CHARACTERS:
        return
    while len(plans) >= capacity:
        del plans[next(iter(plans))]
    plans[key] = plan


class PlanCache:
    """All scopes of a process. `prune` forgets those of versions that are gone."""

    __slots__ = ("_scopes", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._scopes: dict[tuple[object, ...], PlanScope] = {}

    def scope(self, access: Access, snapshot_version: int, catalog: Catalog, schema: str) -> PlanScope:
        """The scope for these versions, made when it is new."""
        key = (access.id, snapshot_version, catalog.database, access.target, catalog.version, schema)
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = PlanScope(access, catalog, schema, self.capacity)
        return scope

    def prune(self, keep: set[int]) -> None:
        """Drop scopes whose id() is not in `keep` (the scopes that sessions hold)."""
        self._scopes = {key: scope for key, scope in self._scopes.items() if id(scope) in keep}

    def scopes(self) -> tuple[PlanScope, ...]:
        return tuple(self._scopes.values())
