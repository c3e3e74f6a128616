"""The room that kept plans have: so many bytes for all scopes of a process together.

When it is full the plan goes that was kept longest, unless it has been used since it came or was last looked at: then
it is spared once (the clock algorithm). So a flood of texts that come once, each with values that its plan hangs on,
does not push out what others run again and again.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Final, Protocol

from policy.sql.lanes import ParameterForm
from policy.sql.plan import ClientText, CompiledQuery, CopyStamp, Plan, SettingChange, Slot

_ENTRY_BYTES: Final = 300  # of a `KeptPlan` and its places in three dictionaries
_SMALL_INTEGERS: Final = range(-5, 257)  # which Python has once
_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    cls: tuple(cls.__dataclass_fields__)
    for cls in (ClientText, CompiledQuery, CopyStamp, ParameterForm, Plan, SettingChange, Slot)
}


class Keeper(Protocol):
    """Who finds plans by their keys."""

    def forget(self, kept: KeptPlan) -> None: ...


class KeptPlan:
    """One plan in the cache. used: since it was last looked at. form: with parameters for values, once asked."""

    __slots__ = ("by_shape", "bytes", "form", "form_known", "keeper", "key", "query", "used")

    def __init__(self, keeper: Keeper, key: str, query: CompiledQuery, *, by_shape: bool) -> None:
        self.keeper = keeper
        self.key = key
        self.query = query
        self.by_shape = by_shape
        self.used = False
        self.form: ParameterForm | None = None
        self.form_known = False
        self.bytes = _ENTRY_BYTES + bytes_of(query) + sys.getsizeof(key)


class PlanRoom:
    """Lifetime: the process. `evicted`: plans that had to go since the start."""

    __slots__ = ("_plans", "bytes", "evicted", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self.evicted = 0
        self._plans: OrderedDict[KeptPlan, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._plans)

    def add(self, kept: KeptPlan) -> None:
        """Keep one more; others go when that is too much."""
        self._plans[kept] = None
        self.grow(kept, kept.bytes, new=True)

    def grow(self, kept: KeptPlan, size: int, *, new: bool = False) -> None:
        """A plan takes `size` more bytes."""
        if kept not in self._plans:
            return
        if not new:
            kept.bytes += size
        self.bytes += size
        while self.bytes > self.limit and self._plans:
            oldest, _ = self._plans.popitem(last=False)
            if oldest.used:
                oldest.used = False
                self._plans[oldest] = None
                continue
            self.bytes -= oldest.bytes
            self.evicted += 1
            oldest.keeper.forget(oldest)

    def remove(self, kept: KeptPlan) -> None:
        """It is not kept any more."""
        if kept in self._plans:
            del self._plans[kept]
            self.bytes -= kept.bytes


def bytes_of(value: object) -> int:
    """What a plan takes, in bytes: its own objects, each counted once. Enumerations, small integers and what is empty
    are everybody's, sets are the catalog's."""
    seen: set[int] = set()
    waiting: list[object] = [value]
    total = 0
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        fields = _FIELDS.get(type(item))
        if fields is not None:
            waiting += [getattr(item, name) for name in fields]
        elif isinstance(item, tuple):
            waiting += item
        elif isinstance(item, BaseException):
            waiting += [item.args, *vars(item).values()]
            total += sys.getsizeof(vars(item))
        elif not isinstance(item, str) and (not isinstance(item, int) or item in _SMALL_INTEGERS):
            continue
        total += sys.getsizeof(item) if item != () and item != "" else 0
    return total
