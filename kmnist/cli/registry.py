"""``kmnist register``, ``promote``, ``rollback`` and ``models``"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kmnist.cli.options import DataDir, TrackingUri
from kmnist.errors import SettingError


def register(
    run_id: Annotated[str | None, Parameter(show_default=False)] = None,
    *,
    best: Annotated[str | None, Parameter(show_default=False)] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make a version of the registered model from a run.

    Parameters
    ----------
    run_id
        run with a model
    best
        instead of a run: a study (the run that its confirmation offers) or an experiment (its best on validation)
    tracking_uri
        MLflow server or database [default: sqlite:///mlflow.db]
    """
    if (run_id is None) == (best is None):
        raise SettingError("give either a run's id or --best STUDY_OR_EXPERIMENT")

    from kmnist import registry
    from kmnist.tracking import connect

    client = connect(tracking_uri)
    version = registry.register(client, run_id or registry.find_best(client, best or ""))
    print(f"version {version.version} of {version.name}: {version.description}")
    print(f"to let it in: kmnist promote {version.version}")


def promote(
    version: str,
    *,
    alias: str = "champion",
    force: bool = False,
    data_dir: DataDir = Path("data"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Give an alias to a version, if it passes the gate.

    Parameters
    ----------
    version
        number of the version
    alias
        that is to point to it
    force
        whatever the gate says; its verdict stays with the version
    data_dir
        folder of the four KMNIST files, to measure on
    tracking_uri
        MLflow server or database [default: sqlite:///mlflow.db]
    """
    from kmnist import registry
    from kmnist.datasets import load_dataset
    from kmnist.tracking import connect

    client = connect(tracking_uri)
    for verdict in registry.promote(client, version, alias, load_dataset("kmnist", data_dir), force):
        print(f"{'passed' if verdict.passed else 'FAILED'}  {verdict.check}: {verdict.found}")
    print(f"models:/kmnist@{alias} is now version {version}")


def rollback(*, alias: str = "champion", tracking_uri: TrackingUri = None) -> None:
    """Put an alias back on the version that had it before; again, on the one before that.

    Parameters
    ----------
    alias
        to put back
    tracking_uri
        MLflow server or database [default: sqlite:///mlflow.db]
    """
    from kmnist import registry
    from kmnist.tracking import connect

    done = registry.rollback(connect(tracking_uri), alias)
    for number in done.skipped:
        print(f"version {number}, which had the alias before, has been deleted")
    print(f"models:/kmnist@{alias} is now version {done.after}, no longer {done.before or 'on a deleted one'}")


def models(*, tracking_uri: TrackingUri = None) -> None:
    """List the versions of the registered model.

    Parameters
    ----------
    tracking_uri
        MLflow server or database [default: sqlite:///mlflow.db]
    """
    from rich.console import Console
    from rich.table import Table

    from kmnist import registry
    from kmnist.tracking import connect

    versions = registry.list_versions(connect(tracking_uri))
    console = Console(highlight=False, markup=False, emoji=False)  # tags may hold anything
    if not versions:
        console.print("nothing is registered; kmnist register RUN_ID, or --best STUDY")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("version", "alias", "arch", "test accuracy", "gate", "study", "run"):
        table.add_column(name, overflow="fold")
    for version in versions:
        tags = version.tags
        accuracy = _as_percent(tags.get("test_accuracy", "-"))
        known = (tags.get(name, "-") for name in ("gate", "study", "run"))
        table.add_row(str(version.number), " ".join(version.aliases) or "-", tags.get("arch", "-"), accuracy, *known)
    console.print(table)


def _as_percent(text: str) -> str:
    try:
        return f"{float(text):.2%}"
    except ValueError:
        return text
