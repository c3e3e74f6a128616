"""What a supervisor leaves to the image that takes its place by execve(2): sockets, workers, counts.

The process stays the same, so its children stay its children, and whoever started it sees nothing. Numbers of
descriptors go in a file in memory whose own number is in the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.workers.channel import Message, encode, take_frame

_VARIABLE = "TENANTGATE_TAKEOVER"
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)


def is_takeover() -> bool:
    """Whether another image of this process has left something to us."""
    return _VARIABLE in os.environ


def take_over() -> Message | None:
    """What it has left; None when this is a fresh start."""
    number = os.environ.pop(_VARIABLE, None)
    if number is None:
        return None
    with os.fdopen(int(number), "rb") as file:
        file.seek(0)
        return take_frame(bytearray(file.read()))


def hand_over(state: Mapping[str, Any], orders: bytes, descriptors: Iterable[int]) -> None:
    """Become the image that is installed now. Returns only by raising OSError.

    Signals that come meanwhile wait: until the new image handles them, they would end it.
    """
    file = os.memfd_create("tenantgate-takeover", 0)
    os.write(file, b"")
    with os.fdopen(os.dup(file), "wb") as out:
        out.write(encode(Message("takeover", state, orders)))
    inherited = [file, *descriptors]
    for number in inherited:
        os.set_inheritable(number, True)
    os.environ[_VARIABLE] = str(file)
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        del os.environ[_VARIABLE]
        for number in descriptors:
            os.set_inheritable(number, False)
        os.close(file)


def settle() -> None:
    """Handlers are there: signals may come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
