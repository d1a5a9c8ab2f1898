"""What workers on other machines can reach: seen to before a study begins, not when the first of them fails."""

from kmnist.addresses import redact
from kmnist.errors import StudyError
from kmnist.jobs.executor import Executor
from kmnist.tuning.storage import StudyStorage


def require_reachable(executor: Executor, storage: StudyStorage, tracking_uri: str) -> None:
    """See that all workers can get at the studies and at the runs.

    Raises:
        StudyError: there are workers on other machines, and one of the two is a file of this one.
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
