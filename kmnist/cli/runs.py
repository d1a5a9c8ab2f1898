"""``kmnist runs``: ``export``, ``import`` and ``prune``"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kmnist.cli.options import ExperimentName, TrackingUri, WorkDir, require_writable
from kmnist.errors import Incomplete
from kmnist.record import DEFAULT_EXPERIMENT


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
    for run in export(connect(tracking_uri), runs, file, left_out.append):
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

    client, screen = connect(tracking_uri), Printer()
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
