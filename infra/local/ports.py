"""Finds free TCP ports, and who listens on a port."""

import random
import socket
from collections.abc import Iterable

import psutil

# Below the kernel's ephemeral ports (32768 and up), which outgoing connections use.
_RANGE = range(20000, 32000)


def is_free(port: int) -> bool:
    """Whether nothing listens on `port`, neither on 127.0.0.1 nor on all interfaces, as Ray does."""
    for host in ("127.0.0.1", ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Servers do the same: a port in TIME_WAIT is free, one with a listener is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError:
                return False
    return True


def free_ports(names: Iterable[str], taken: Iterable[int] = ()) -> dict[str, int]:
    """A different free port for each name, none of them in `taken`.

    They are drawn at random, so that two stacks that start at the same time rarely choose the same. Nothing reserves
    them: the server that is slower fails to bind.
    """
    used, found = set(taken), {}
    for name in names:
        port = random.choice(_RANGE)
        while port in used or not is_free(port):
            port = random.choice(_RANGE)
        used.add(port)
        found[name] = port
    return found


def listener(port: int) -> str:
    """The program that listens on `port`, as " by NAME (process N)", or "" if it cannot be found."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""
