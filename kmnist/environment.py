"""How MLflow behaves in our processes where the user says nothing else: it is told through the environment only."""

import os
import warnings

ENVIRONMENT = {
    # A request whose answer was lost may have been done: what may be repeated is repeated by us.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # Without git, it would complain in every command.
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Its bars would be drawn across ours.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Its client prints where a run is when it ends one; we print that ourselves, and nothing with --quiet.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def set_environment() -> None:
    """Called where a command begins and where a server is connected to; never by an import."""
    for name, text in ENVIRONMENT.items():
        os.environ.setdefault(name, text)
    # MLflow 3.18 calls it deprecated. What follows it there refuses all code of a model, that of our own server too.
    warnings.filterwarnings("ignore", "Environment variable MLFLOW_ALLOW_PICKLE_DESERIALIZATION is deprecated")
