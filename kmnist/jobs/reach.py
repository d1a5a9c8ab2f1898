"""What workers on other machines can reach: seen to before a study begins, not when the first of them fails."""

import os
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from kmnist.addresses import redact
from kmnist.errors import StudyError
from kmnist.jobs.executor import Executor
from kmnist.tuning.storage import StudyStorage


def require_reachable(executor: Executor, storage: StudyStorage, tracking_uri: str) -> None:
    """See that all workers can get at the studies and at the runs.

    Raises:
        StudyError: there are workers on other machines, and one of the two is a file of this one, or at an address that
            is another machine for each of them.
    """
    if executor.is_local:
        return
    if storage.is_file:
        raise StudyError(
            f"storage {storage.shown}: is a file of this machine, and the cluster has others; name a database that all "
            "of them reach: --storage postgresql://user@host/database"
        )
    if not tracking_uri.startswith(("http://", "https://", "postgresql", "mysql", "mssql")):
        raise StudyError(
            f"tracking_uri={redact(tracking_uri)}: is of this machine, and the cluster has others; start a server that "
            "all of them reach (mlflow server) and name it with --tracking-uri"
        )
    if executor.is_one_host:
        return
    for name, address in {"storage": storage.shown, "tracking-uri": tracking_uri}.items():
        if (host := _host_of(address)) is None or _is_loopback(host):
            raise StudyError(
                f"{name} {redact(address)}: {host or 'a socket of this machine'} is another machine for each node of "
                f"the cluster; name it in --{name} by a host that all of them reach"
            )


def from_anywhere(tracking_uri: str) -> str:
    """The same address for workers in another folder: the file of a database with its whole path.

    Example:
        >>> from_anywhere("sqlite:////data/mlflow.db")
        'sqlite:////data/mlflow.db'
    """
    scheme, separator, path = tracking_uri.partition(":///")
    if not separator or not scheme.startswith("sqlite") or path.startswith(("/", ":memory:")):
        return tracking_uri
    return f"{scheme}:///{Path(path).absolute()}"


def _host_of(address: str) -> str | None:
    """``None``: a socket."""
    host = urlsplit(address).hostname or os.environ.get("PGHOST", "/")  # what libpq takes where none is named
    return None if host.startswith("/") else host


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):  # a name
        address = ip_address(host)
        return address.is_loopback or address.is_unspecified
    return host == "localhost" or host.endswith(".localhost")
