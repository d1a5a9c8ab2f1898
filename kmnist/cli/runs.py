"""``kmnist runs``: ``list``, ``export``, ``import`` and ``prune``"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from kmnist.cli.options import ExperimentName, Format, TrackingUri, WorkDir, require_writable
from kmnist.errors import Incomplete
from kmnist.record import DEFAULT_EXPERIMENT

#: Characters of an id that are shown to a person: as many as make it unique among thousands of runs.
ITS_ID = 8
COLUMNS = ("run", "name", "settings", "valid accuracy", "test accuracy", "data set", "status", "started", "experiment")


def list_runs(
    *,
    most: Annotated[int, Parameter(validator=Number(gte=1))] = 20,
    experiment_name: Annotated[str | None, Parameter(metavar="NAME", show_default=False)] = None,
    dataset: Annotated[str | None, Parameter(metavar="NAME", show_default=False)] = None,
    arch: Annotated[str | None, Parameter(metavar="NAME", show_default=False)] = None,
    status: Annotated[Literal["RUNNING", "FINISHED", "FAILED", "KILLED"] | None, Parameter(show_default=False)] = None,
    trials: bool = False,
    format: Format = "table",
    tracking_uri: TrackingUri = None,
) -> None:
    """List runs, newest first. Wherever a command takes a run's id, the first characters of it are enough.

    Parameters
    ----------
    most
        how many to list
    experiment_name
        only runs of this MLflow experiment
    dataset
        only runs trained on this data set
    arch
        only runs of this architecture
    status
        only runs with this status
    trials
        list a study's trials and confirmations too
    """
    from kmnist import record
    from kmnist.cli.printer import NONE, Printer
    from kmnist.tracking import connect
    from kmnist.tracking.listing import list_runs as find

    screen = Printer()
    found = find(
        connect(tracking_uri, make=False),
        most=most,
        experiment_name=experiment_name,
        dataset=dataset,
        arch=arch,
        status=status,
        below=trials,
    )
    if not found and format == "table":
        screen.say("no run matches; kmnist train makes one")
        return
    shown = ITS_ID if format == "table" else None
    rows = []
    for one in found:
        best = one.run.value(record.BEST, "valid_accuracy")
        test = one.run.value(record.TEST, "accuracy")
        accuracies = [NONE if value is None else f"{value:.2%}" for value in (best, test)]
        started = f"{one.started:%Y-%m-%d %H:%M}" if one.started else NONE
        about = [one.run.dataset or NONE, one.run.status, started, one.experiment]
        rows.append([one.run.run_id[:shown], one.run.name, one.settings or NONE, *accuracies, *about])
    screen.table(COLUMNS, rows, format)


def export_runs(
    file: Annotated[Path, Parameter(name=["FILE"])],
    runs: Annotated[tuple[str, ...], Parameter(name=["RUN"])],
    /,
    *,
    tracking_uri: TrackingUri = None,
) -> None:
    """Write runs to a file: settings, curves, tags, artifacts, models, and all runs below them.

    Parameters
    ----------
    file
        to write; must end in .zip
    runs
        their ids
    """
    require_writable(file, "FILE", (".zip",))

    from kmnist.cli.printer import Printer
    from kmnist.tracking import connect
    from kmnist.tracking.archive import export_runs as export

    screen, count = Printer(), 0
    left_out: list[str] = []
    for run in export(connect(tracking_uri, make=False), runs, file, left_out.append):
        screen.say(f"{run.id} {run.name}")
        count += 1
    screen.say(f"{file}: {count} runs, {file.stat().st_size:,} bytes")
    if left_out:
        raise Incomplete("\n".join([*left_out, f"{file} has all the rest; copy these {len(left_out)} yourself"]))


def import_runs(
    file: Annotated[Path, Parameter(name=["FILE"])],
    /,
    *,
    experiment_name: ExperimentName = DEFAULT_EXPERIMENT,
    work_dir: WorkDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Make the runs of a file on another server, where they get ids of their own.

    Parameters
    ----------
    file
        from kmnist runs export
    """
    from kmnist.cli.printer import Printer
    from kmnist.tracking import connect
    from kmnist.tracking.unarchive import import_runs as read

    screen, waiting = Printer(), 0
    for old, new, outcome in read(connect(tracking_uri), file, work_dir, experiment_name, screen.say):
        screen.say(f"{old} -> {new}: {outcome}")
        waiting += "waiting" in outcome
    if waiting:
        raise Incomplete(f"not all has arrived: of {waiting} runs something waits. kmnist sync --work-dir {work_dir}")


def prune(
    *,
    yes: bool = False,
    experiment: Annotated[str | None, Parameter(show_default=False)] = None,
    work_dir: WorkDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Show which models, images and checkpoints nobody needs, and with --yes delete them.

    Kept are the best of each experiment and study, what is registered or offered, ensembles and their members, runs
    that have not ended, and runs with the tag keep. Numbers, tags, figures and tables of all runs stay.

    Parameters
    ----------
    yes
        delete them; it cannot be undone
    experiment
        look at this one only [default: all]
    """
    from kmnist.cli.printer import Printer
    from kmnist.registry.prune import find_prunable
    from kmnist.registry.prune import prune as delete
    from kmnist.tracking import connect

    client, screen = connect(tracking_uri, make=False), Printer()
    found = list(find_prunable(client, work_dir, experiment))
    rows = [
        [one.run.info.run_id, one.run.info.run_name or "", f"{one.model_bytes:,}", f"{one.image_bytes:,}",
         f"{one.checkpoint_bytes:,}"]
        for one in found
    ]  # fmt: skip
    if not found:
        screen.say("there is nothing to prune")
        return
    screen.table(["run", "name", "model", "images", "checkpoint"], rows)
    total = sum(one.total_bytes for one in found)
    if not yes:
        screen.say(f"{len(found)} runs, {total:,} bytes would be freed; nothing was deleted: kmnist runs prune --yes")
        return
    freed = sum(one.total_bytes for one in delete(client, found))
    screen.say(f"{freed:,} bytes of {len(found)} runs are freed")
