"""Where a service of a test may listen."""

from contextlib import closing
from socket import socket


def free_port() -> int:
    """Return a port nobody listens on."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
