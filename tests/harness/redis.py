"""A real Redis in a process of its own, on a free port, without a disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time

from admin.demo.embedded import free_port
from tests.harness.missing import missing

INSTALL = "apt-get install redis-server"


class RedisServer:
    """`start` returns when it answers; `stop` ends it at once, and what it knew is gone."""

    def __init__(self) -> None:
        if shutil.which("redis-server") is None:
            missing("redis-server", INSTALL)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server does not come up"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                sock.sendall(b"PING\r\n")
                return sock.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
