"""The gateway and the admin API as child processes: started with a config file, ready when they say so, stopped with
SIGTERM."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from admin.demo.embedded import EmbeddedError

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 40.0  # longer than the gateway's own drain time


@dataclass(slots=True)
class Child:
    """One `tenantgate COMMAND -c CONFIG`. Its output goes to `log`, which is appended to."""

    config: Path
    log: Path
    admin_port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    command: ClassVar[str] = ""
    name: ClassVar[str] = ""

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it and return when it is ready; raise EmbeddedError with the end of its log when it is not."""
        # The gateway must not outlive us when we are killed, nor take the terminal's Ctrl-C for its own.
        keeper = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") is not None else []
        command = [*keeper, sys.executable, "-m", "admin.cli.main", self.command, "-c", str(self.config)]
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
        raise EmbeddedError(f"the {self.name} {state} (log {self.log}):\n{self.log_end()}")

    def is_ready(self) -> bool:
        raise NotImplementedError

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


class GatewayChild(Child):
    """`tenantgate serve`; admin_port: of /readyz."""

    __slots__ = ()
    command, name = "serve", "gateway"

    def is_ready(self) -> bool:
        return _answers(f"http://127.0.0.1:{self.admin_port}/readyz", None)


class AdminChild(Child):
    """`tenantgate admin`; admin_port: the API's own. Its certificate is not checked to see whether it is there."""

    __slots__ = ()
    command, name = "admin", "admin API"

    def is_ready(self) -> bool:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return _answers(f"https://127.0.0.1:{self.admin_port}/v1/health", context)


def _answers(url: str, context: ssl.SSLContext | None) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:  # noqa: S310 - our own URL
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
