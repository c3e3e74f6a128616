"""The limit of open files: each client and each backend is one, and systems' default is often 1,024."""

from __future__ import annotations

import logging
import resource

from proxy.config import GatewayConfig

logger = logging.getLogger(__name__)
_OTHERS = 64  # listeners, logs, pipes of processes, libraries


def allow_open_files(config: GatewayConfig) -> None:
    """Raise this process's limit to what the configuration may need, or say that the system does not allow it."""
    backends = sum(target.max_backends for target in config.targets.values())
    needed = config.limits.max_connections + backends + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= needed:
        return
    wanted = needed if hard == unlimited else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < needed:
        logger.warning(
            "the system allows fewer open files than clients and backends may need (ulimit -Hn)",
            extra={"allowed": wanted, "needed": needed, "max_connections": config.limits.max_connections},
        )
