"""The gateway as a child process: started with a config file, ready when /readyz says so, stopped with SIGTERM."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from admin.demo.embedded import EmbeddedError

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 40.0  # longer than the gateway's own drain time


@dataclass(slots=True)
class GatewayChild:
    """One `tenantgate serve`. Its output goes to `log`, which is appended to."""

    config: Path
    log: Path
    admin_port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it and return when it is ready; raise EmbeddedError with the end of its log when it is not."""
        # The gateway must not outlive us when we are killed, nor take the terminal's Ctrl-C for its own.
        keeper = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") is not None else []
        command = [*keeper, sys.executable, "-m", "admin.cli.main", "serve", "-c", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self.running and time.monotonic() < deadline:
            if self.is_ready():
                return
            time.sleep(0.05)
        state = "is not ready" if self.running else "ended at once"
        self.stop()
        raise EmbeddedError(f"the gateway {state} (log {self.log}):\n{self.log_end()}")

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def reload(self) -> None:
        """Let it read its configuration, policy and certificates again (SIGHUP)."""
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int | None:
        """Stop it (SIGTERM, and SIGKILL when that takes too long); return its exit status."""
        process, self.process = self.process, None
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def log_end(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
