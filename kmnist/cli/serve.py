"""``kmnist serve``"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from kmnist.cli.options import ModelUri, OneThread, TrackingUri
from kmnist.errors import ModelError, TrackingError
from kmnist.extras import require

if TYPE_CHECKING:
    from kmnist.registry import Fetched

LOOK_SECONDS = 10  # between two looks at the alias


def serve(
    *,
    model: ModelUri = "models:/kmnist@champion",
    host: str = "127.0.0.1",
    port: int = 5001,
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    threads: OneThread = 1,
    follow: bool = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Answer for a model over HTTP, with MLflow's server, once its files are those that went through the gate.

    Parameters
    ----------
    host
        the address to be reached at; 0.0.0.0: by everyone who can reach this computer. It has no login
    port
        of that address; 0 takes a free one
    workers
        processes that answer, each with a copy of the model
    follow
        wait for the model where it is not there yet, and serve the next one, after some seconds without an answer,
        when its alias moves
    """
    require("train", "kmnist serve")
    from kmnist.listening import reserve
    from kmnist.registry import fetch

    with reserve(host, port) as taken:  # first, because it fails at once
        place = [host, str(taken.getsockname()[1]), str(workers)]
        found = _wait_for(model, tracking_uri) if follow else fetch(model, tracking_uri=tracking_uri)
        while True:
            with _server(found, place, threads) as server:
                following = _next(server, found, model, tracking_uri) if follow else None
                if following is None and (status := server.wait()):
                    raise ModelError(f"MLflow's server ended with status {status}; what it wrote above says why")
            if following is None:
                return
            found = following


@contextmanager
def _server(found: "Fetched", place: list[str], threads: int) -> Iterator["Popen[bytes]"]:
    from kmnist.tracking.model import save_model

    with TemporaryDirectory(prefix="kmnist-serve-") as folder:
        # Not the model's own files, whose code and graph MLflow would run, but its network saved anew: what runs is the
        # code that is installed here, and nobody can change it between the check and the start.
        saved = str(Path(folder) / "model")
        save_model(found.saved, Path(saved))
        command = [sys.executable, "-m", "kmnist.scoring", saved, *place]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        with Popen(command, env=environment) as server:
            try:
                yield server
            finally:
                server.terminate()


def _wait_for(model: str, tracking_uri: str | None) -> "Fetched":
    """The model, as soon as it is there; each new reason why it is not is said once."""
    from kmnist.registry import fetch
    from kmnist.text import complain

    said = ""
    while True:
        try:
            return fetch(model, tracking_uri=tracking_uri)
        except (ModelError, TrackingError) as error:
            if str(error) != said:
                said = str(error)
                complain(f"{said}; waiting for it")
        time.sleep(LOOK_SECONDS)


def _next(server: "Popen[bytes]", found: "Fetched", model: str, tracking_uri: str | None) -> "Fetched | None":
    """The model that the alias names by now, once it is another; ``None`` where the server ends first.

    One that cannot be loaded, or is not what went through the gate, changes nothing: the one before is served on. Each
    new reason is told once.
    """
    from kmnist.registry import fetch, identity, named_version
    from kmnist.text import complain

    served, refused, told = identity(found.version), None, ""
    while True:
        try:
            server.wait(LOOK_SECONDS)
        except TimeoutExpired:
            pass
        else:
            return None
        try:
            named = identity(named_version(model, tracking_uri=tracking_uri))
            if named in (served, refused):
                continue
            refused = named
            following = fetch(model, tracking_uri=tracking_uri)
        except TrackingError:
            refused = None  # the server is away: the same again, later
        except ModelError as error:
            if str(error) != told:
                told = str(error)
                complain(f"{told}; what was served before is served on")
        else:
            complain(f"serves version {following.version.version if following.version else '?'} from now on")
            return following
