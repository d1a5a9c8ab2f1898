"""An address to answer at, taken before anything is loaded."""

import socket

from kmnist.errors import AddressError


def listen(host: str, port: int) -> socket.socket:
    """Take an address, so that clients can connect to it. Arguments and errors are :func:`reserve`'s."""
    taken = reserve(host, port)
    taken.listen()
    return taken


def reserve(host: str, port: int) -> socket.socket:
    """See that an address is free, and hold it for a process that will listen there.

    Until that one listens, connections are refused.

    Args:
        host: a name or an address, of IPv4 or IPv6.
        port: 0 takes one that is free.

    Raises:
        AddressError: it is taken, there is no such address, or it may not be used.
    """
    if not 0 <= port <= 65_535:
        raise AddressError(f"port {port}: must be from 0 to 65535; choose another with --port")
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family)
    except OSError as error:
        raise _refused(host, port, error) from None
    try:
        # So that a second socket may be bound here as long as this one does not listen, and at once after a restart.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        raise _refused(host, port, error) from None
    return taken


def _refused(host: str, port: int, error: OSError) -> AddressError:
    return AddressError(f"{host} port {port} cannot be used: {error.strerror}; choose others with --host and --port")
