"""The metrics of all workers as one: counters and histograms summed, and what a worker counted outlives it.

`tenantgate_…` are sums (the policy's version and age are those of the oldest one in force); what belongs to a process,
`process_…` and `python_…`, is told for each with the label `worker`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from proxy.observe.metrics import Family

_SUMMED_TYPES = frozenset({"counter", "histogram"})
_Key = tuple[str, tuple[tuple[str, str], ...]]
_Values = dict[_Key, float]


class Merged:
    """Lifetime: the supervisor, and the one that takes over from it. `retired` is what ended workers had counted."""

    __slots__ = ("_families",)

    def __init__(self, retired: Iterable[Family] = ()) -> None:
        self._families: dict[str, tuple[str, str, _Values]] = {}
        self.retire(retired)

    def retire(self, report: Iterable[Family]) -> None:
        """Keep the counts of a worker that has ended, as it last told them."""
        _add(self._families, [family for family in report if family[1] in _SUMMED_TYPES and _is_ours(family)])

    @property
    def retired(self) -> list[Family]:
        return [
            (name, kind, text, [(sample, dict(labels), value) for (sample, labels), value in values.items()])
            for name, (kind, text, values) in self._families.items()
        ]

    def render(self, reports: Mapping[str, Iterable[Family]], own: Iterable[Metric]) -> bytes:
        """All in Prometheus' text format. reports: by the worker's name; own: of the supervisor itself."""
        families = {name: (kind, text, dict(values)) for name, (kind, text, values) in self._families.items()}
        for worker, report in reports.items():
            _add(families, [family if _is_ours(family) else _labelled(family, worker) for family in report])
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Rendered(families, own))
        return generate_latest(registry)


def _is_ours(family: Family) -> bool:
    return family[0].startswith("tenantgate_")


def _labelled(family: Family, worker: str) -> Family:
    name, kind, text, samples = family
    return name, kind, text, [(sample, {**labels, "worker": worker}, value) for sample, labels, value in samples]


def _add(families: dict[str, tuple[str, str, _Values]], report: Iterable[Family]) -> None:
    for name, kind, text, samples in report:
        values = families.setdefault(name, (kind, text, {}))[2]
        for sample, labels, value in samples:
            key = (sample, tuple(labels.items()))
            before = values.get(key)
            values[key] = value if before is None else _together(name, kind, before, value)


def _together(name: str, kind: str, one: float, other: float) -> float:
    if name == "tenantgate_policy_version" or kind == "info":
        return min(one, other)
    if name == "tenantgate_policy_age_seconds":
        return max(one, other)
    return one + other


class _Rendered(Collector):
    def __init__(self, families: Mapping[str, tuple[str, str, _Values]], own: Iterable[Metric]) -> None:
        self._families = families
        self._own = own

    def collect(self) -> Iterator[Metric]:
        yield from self._own
        for name, (kind, text, values) in self._families.items():
            metric = Metric(name, text, kind)
            for (sample, labels), value in values.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric
