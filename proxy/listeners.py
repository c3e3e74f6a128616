"""The sockets that clients connect to, and the one of the admin listener."""

from __future__ import annotations

import socket

from proxy.config import ListenConfig


def bind_listener(listen: ListenConfig) -> socket.socket:
    """The one listener of a gateway without workers. Raises OSError."""
    return _bind(listen.host, listen.port, listen.backlog, shared=False)


def bind_shared(listen: ListenConfig, count: int, port: int = 0) -> list[socket.socket]:
    """`count` sockets on one address: the kernel gives each connection to one of those that listen (SO_REUSEPORT,
    socket(7)). None does yet: `listen` is for when there is somebody to accept.

    port: of listeners that are there already; 0: none are, and nobody else may be there: a second gateway of the same
    user would otherwise be given a part of the connections without a word. Raises OSError.
    """
    if not port:
        with _bind(listen.host, listen.port, listen.backlog, shared=False) as probe:
            port = int(probe.getsockname()[1])
    return [_bind(listen.host, port, listen.backlog, shared=True) for _ in range(count)]


def bind_admin(listen: ListenConfig) -> socket.socket:
    """The listener of /metrics, /healthz and /readyz. Raises OSError."""
    return _bind(listen.admin_host, listen.admin_port, 100, shared=False)


def _bind(host: str, port: int, backlog: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        if not shared:
            listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
