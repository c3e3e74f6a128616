"""What a supervisor runs before it lets the image that is installed now take its place: can that one serve?"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import proxy.workers.supervisor
import proxy.workers.worker  # noqa: F401
from policy.errors import TenantGateError
from proxy.config_file import load_config
from proxy.observe.logs import configure_logging
from proxy.snapshots import load_snapshot
from proxy.tls import server_context
from proxy.workers.orders import refuse_small_shares


def main(path: Path) -> int:
    """0: it can; 2: it cannot, and standard error has the reason."""
    try:
        config = load_config(path, os.environ)
        configure_logging(config.log)
        refuse_small_shares(config, asyncio.run(load_snapshot(config, 1)))
        server_context(config.tls)
    except TenantGateError as error:
        print(error.message, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
