"""From a sink's configuration to the sink. What one needs is imported when it is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final

from proxy.audit.sinks.sink import Sink
from proxy.config_sinks import SinkConfig


def make_sink(config: SinkConfig) -> Sink:
    """The sink of every kind but `table`, which is the control plane's. Raises SinkUnusable."""
    return _MAKERS[config.kind](config)


def _stdout(_: SinkConfig) -> Sink:
    from proxy.audit.sinks.stdout import StdoutSink

    return StdoutSink(sys.stdout.buffer)


def _syslog(config: SinkConfig) -> Sink:
    from proxy.audit.sinks.syslog import SyslogDatagramSink, SyslogStreamSink

    return SyslogDatagramSink(config) if config.url.startswith("udp:") else SyslogStreamSink(config)


def _otlp(config: SinkConfig) -> Sink:
    from proxy.audit.sinks.otlp import OtlpSink

    return OtlpSink(config)


def _elasticsearch(config: SinkConfig) -> Sink:
    from proxy.audit.sinks.elasticsearch import ElasticsearchSink

    return ElasticsearchSink(config)


def _webhook(config: SinkConfig) -> Sink:
    from proxy.audit.sinks.webhook import WebhookSink

    return WebhookSink(config)


def _kafka(config: SinkConfig) -> Sink:
    from proxy.audit.sinks.kafka import KafkaSink

    return KafkaSink(config)


_MAKERS: Final[Mapping[str, Callable[[SinkConfig], Sink]]] = {
    "stdout": _stdout, "syslog": _syslog, "otlp": _otlp, "elasticsearch": _elasticsearch, "webhook": _webhook,
    "kafka": _kafka,
}  # fmt: skip
