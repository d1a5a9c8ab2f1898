"""How long a server wants to be left alone: the header ``Retry-After`` of an answer 429 or 503 (RFC 9110, 10.2.3)."""

import re

from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

#: What an error says of such an answer: by the words of urllib3, and from MLflow 3.18 on by those of MLflow.
TOO_BUSY = re.compile("too many (429|503) error responses|failed with error code (429|503) ")
MOST_SECONDS = 3600


def asked_to_wait(tracking_uri: str, run_id: str) -> int:
    """The seconds that the server names; 0 if it names none.

    MLflow's errors do not carry the headers of an answer, so the server is asked for something cheap once more.
    """
    if not tracking_uri.startswith("http"):
        return 0
    try:
        answer = http_request(
            get_default_host_creds(tracking_uri),
            "/api/2.0/mlflow/runs/get",
            "GET",
            params={"run_id": run_id},
            max_retries=0,
            raise_on_status=False,
        )
    except MlflowException:
        return 0
    named = answer.headers.get("Retry-After", "")
    return (
        min(int(named), MOST_SECONDS) if answer.status_code in (429, 503) and re.fullmatch("[0-9]{1,9}", named) else 0
    )
