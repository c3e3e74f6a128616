"""What the admin listener of a gateway with workers tells: all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from proxy.observe.health import Answer, Readiness
from proxy.observe.http import Route
from proxy.observe.metrics import METRICS_CONTENT_TYPE, family_of, shares_up
from proxy.quota_shares import ShareKeeper
from proxy.workers import channel
from proxy.workers.channel import PeerGone
from proxy.workers.merged import Merged
from proxy.workers.process import Process


class Overview:
    """Lifetime: the supervisor; `processes` are its own, by seat."""

    def __init__(
        self,
        processes: Mapping[int, Process],
        merged: Merged,
        restarts: Callable[[], int],
        draining: Callable[[], bool],
        shares: ShareKeeper | None = None,
    ) -> None:
        """shares: of quotas with other machines."""
        self._processes = processes
        self._merged = merged
        self._restarts = restarts
        self._draining = draining
        self._shares = shares
        self._own = ProcessCollector(registry=None)

    def routes(self) -> Mapping[str, Route]:
        return {"/metrics": self._metrics, "/healthz": self._healthz, "/readyz": self._readyz}

    async def _metrics(self) -> Answer:
        """A worker that does not answer now is shown as it was when it last did."""
        await asyncio.gather(*(self._report(process) for process in tuple(self._processes.values())))
        reports = {str(process.seat): process.report for process in self._processes.values()}
        reports["supervisor"] = [family_of(metric) for metric in self._own.collect()]
        return 200, METRICS_CONTENT_TYPE, self._merged.render(reports, self._own_metrics())

    async def _report(self, process: Process) -> None:
        answer = await _ask(process, "metrics")
        if answer is not None and not process.ended:
            process.report = answer["families"]

    def _own_metrics(self) -> Iterator[Metric]:
        ready = sum(process.ready and not process.leaving for process in self._processes.values())
        leaving = sum(process.leaving for process in self._processes.values())
        workers = GaugeMetricFamily("tenantgate_workers", "Worker processes by state.", labels=["state"])
        workers.add_metric(["ready"], ready)
        workers.add_metric(["draining"], leaving)
        workers.add_metric(["starting"], len(self._processes) - ready - leaving)
        yield workers
        text = "Workers that were started in the place of one that had ended."
        yield CounterMetricFamily("tenantgate_worker_restarts", text, value=self._restarts())
        if self._shares is not None:
            yield shares_up(self._shares.is_up)

    async def _healthz(self) -> Answer:
        return 200, "text/plain", b"ok\n"

    async def _readyz(self) -> Answer:
        """Ready when a worker is, and no worker has a problem. One that is being started again is none: its clients
        wait in its queue."""
        serving = [process for process in self._processes.values() if process.ready and not process.leaving]
        answers = await asyncio.gather(*(_ask(process, "readiness") for process in serving))
        told = [answer for answer in answers if answer is not None]
        problems = {problem for answer in told for problem in answer["problems"]}
        if self._draining():
            problems.add("draining")
        elif not told:
            problems.add("no worker is ready")
        failing = {target for answer in told for target in answer["targets_failing"]}
        degraded = {self._shares.problem} if self._shares is not None and self._shares.problem else set()
        return Readiness(tuple(sorted(problems)), tuple(sorted(failing)), tuple(degraded)).answer()


async def _ask(process: Process, kind: str) -> channel.Answer | None:
    """None: it does not answer."""
    if process.channel is None or not process.ready:
        return None
    try:
        return await process.channel.ask(kind)
    except PeerGone:
        return None
