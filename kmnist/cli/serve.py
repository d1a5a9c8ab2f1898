"""``kmnist serve``"""

import os
import sys
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from kmnist.cli.options import ModelUri, OneThread, TrackingUri
from kmnist.errors import ModelError
from kmnist.extras import require


def serve(
    *,
    model: ModelUri = "models:/kmnist@champion",
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65_535))] = 5001,
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    threads: OneThread = 1,
    tracking_uri: TrackingUri = None,
) -> None:
    """Answer for a model over HTTP, with MLflow's server, once its files are those that went through the gate.

    Parameters
    ----------
    host
        the address to be reached at; 0.0.0.0: by everyone who can reach this computer. It has no login
    port
        of that address
    workers
        processes that answer, each with a copy of the model
    """
    require("train", "kmnist serve")
    from kmnist.registry import fetch_network
    from kmnist.tracking.model import save_model

    found = fetch_network(model, tracking_uri=tracking_uri)
    with TemporaryDirectory(prefix="kmnist-serve-") as folder:
        # Not the model's own files, whose code and graph MLflow would run, but its network saved anew: what runs is the
        # code that is installed here, and nobody can change it between the check and the start.
        saved = str(Path(folder) / "model")
        save_model(found, Path(saved))
        command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", saved, "--env-manager", "local"]
        place = ["--host", host, "--port", str(port), "--workers", str(workers)]
        # MLflow looks for uvicorn in PATH; it is beside the Python that runs this.
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        }
        with Popen([*command, *place], env=environment) as server:
            try:
                status = server.wait()
            finally:
                server.terminate()
    if status:
        raise ModelError(f"MLflow's server ended with status {status}; what it wrote above says why")
