"""``kmnist register``, ``promote``, ``rollback`` and ``models``"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from kmnist.cli.options import DataDir, Format, OneThread, TrackingUri
from kmnist.errors import SettingError
from kmnist.extras import require

Name = Annotated[str, Parameter(name="--name", metavar="NAME")]


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
    """
    if (run_id is None) == (best is None):
        raise SettingError("give either a run's id or --best STUDY_OR_EXPERIMENT")

    from kmnist import registry
    from kmnist.cli.printer import Printer
    from kmnist.tracking import connect

    client, screen = connect(tracking_uri, make=False), Printer()
    version = registry.register(client, run_id or registry.find_best(client, best or ""))
    screen.say(f"version {version.version} of {version.name}: {version.description}")
    other = "" if version.name == "kmnist" else f" --name {version.name}"
    screen.say(f"to let it in: kmnist promote {version.version}{other}")


def promote(
    version: str,
    *,
    name: Name = "kmnist",
    dataset: Annotated[str | None, Parameter(show_default=False)] = None,
    alias: str = "champion",
    slowdown: Annotated[float, Parameter(validator=Number(gte=1))] = 1.5,
    force: bool = False,
    data_dir: DataDir = Path("data"),
    threads: OneThread = 1,
    tracking_uri: TrackingUri = None,
) -> None:
    """Give an alias to a version, if it passes the gate.

    Parameters
    ----------
    version
        number of the version
    name
        of the registered model: that of its data set
    dataset
        to measure on, by name or path [default: that of the run that trained the version]
    alias
        that is to point to it
    slowdown
        how many times the time of the version that has the alias a picture may take; an ensemble of five networks
        takes five times as long as one
    force
        whatever the gate says; its verdict stays with the version
    """
    require("train", "kmnist promote")
    from kmnist import registry
    from kmnist.cli.printer import Printer
    from kmnist.data import DATASETS, Reading, load_dataset
    from kmnist.tracking import connect
    from kmnist.training.compute import set_threads

    client, screen = connect(tracking_uri, make=False), Printer()
    set_threads(threads)
    if name == registry.SAMPLE_MODEL:
        dataset = dataset or registry.SAMPLE
    trained = None if dataset or name in DATASETS else registry.trained_with(client, name, version)
    reading: Reading = trained.reading if trained else {}
    data = load_dataset(dataset or (trained.dataset if trained else name), data_dir, **reading)
    for verdict in registry.promote(client, version, alias, data, force, name=name, slowdown=slowdown):
        screen.say(f"{'passed' if verdict.passed else 'FAILED'}  {verdict.check}: {verdict.found}")
    screen.say(f"models:/{name}@{alias} is now version {version}")


def rollback(*, name: Name = "kmnist", alias: str = "champion", tracking_uri: TrackingUri = None) -> None:
    """Put an alias back on the version that had it before; again, on the one before that.

    Parameters
    ----------
    name
        of the registered model
    alias
        to put back
    """
    from kmnist import registry
    from kmnist.cli.printer import Printer
    from kmnist.tracking import connect

    screen = Printer()
    done = registry.rollback(connect(tracking_uri, make=False), alias, name=name)
    for number in done.skipped:
        screen.say(f"version {number}, which had the alias before, has been deleted")
    screen.say(f"models:/{name}@{alias} is now version {done.after}, no longer {done.before or 'on a deleted one'}")


def models(*, name: Name = "kmnist", format: Format = "table", tracking_uri: TrackingUri = None) -> None:
    """List the versions of the registered model.

    Parameters
    ----------
    name
        of the registered model
    """
    from kmnist import registry
    from kmnist.cli.printer import Printer
    from kmnist.tracking import connect

    versions, screen = registry.list_versions(connect(tracking_uri, make=False), name), Printer()
    if not versions and format == "table":
        screen.say("nothing is registered; kmnist register RUN_ID, or --best STUDY")
        return
    rows = []
    for version in versions:
        tags = version.tags
        known = (tags.get(tag, "-") for tag in ("gate", "study", "run"))
        accuracy = _as_percent(tags.get("test_accuracy", "-"))
        rows.append([str(version.number), " ".join(version.aliases) or "-", tags.get("arch", "-"), accuracy, *known])
    screen.table(["version", "alias", "arch", "test accuracy", "gate", "study", "run"], rows, format)


def _as_percent(text: str) -> str:
    try:
        return f"{float(text):.2%}"
    except ValueError:
        return text
