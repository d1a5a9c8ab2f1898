"""``kmnist sync``"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kmnist.cli.options import ExperimentName, Format, TrackingUri, WorkDir
from kmnist.errors import Incomplete, SettingError
from kmnist.record import DEFAULT_EXPERIMENT

if TYPE_CHECKING:
    from kmnist.tracking.pending import Pending

COLUMNS = ("run", "bytes", "since", "in_use", "refused")


def sync(
    *,
    show: bool = False,
    new_run: Annotated[bool, Parameter(negative="")] = False,
    format: Format = "table",
    work_dir: WorkDir = Path("runs"),
    tracking_uri: TrackingUri = None,
    experiment_name: ExperimentName = DEFAULT_EXPERIMENT,
) -> None:
    """Show what the tracking server has not taken yet, and send it.

    The exit status is 3 if the server has not taken all of it.

    Parameters
    ----------
    show
        show it only, with what the server answered
    new_run
        where a run is no longer on the server, as after mlflow gc, send what is here of it to a new one in
        --experiment-name
    """
    from kmnist.cli.printer import Printer
    from kmnist.tracking import connect, list_pending, send_pending
    from kmnist.tracking.renew import renew_runs

    if format != "table" and not show:
        raise SettingError(f"format={format}: is for --show")
    screen = Printer()
    waiting = list_pending(work_dir)
    if format != "table":
        screen.table(COLUMNS, [_as_row(run) for run in waiting], format)
        return
    for run in waiting:
        by = ", by a process that is sending them" if run.in_use else ""
        screen.say(f"{run.run_id}: {run.unsent_bytes:,} bytes wait, last written to {run.since:%Y-%m-%d %H:%M}{by}")
        for what, answer in run.set_aside:
            screen.say(f"  refused: {what}: {answer}")
    if not waiting:
        screen.say(f"nothing is waiting in {work_dir}")
    elif not show:
        client = connect(tracking_uri, make=new_run)
        if new_run:
            for old, new in renew_runs(client, work_dir, experiment_name):
                screen.say(f"{old}: is gone; what is here of it goes to run {new}")
        for run_id, outcome in send_pending(client, work_dir):
            screen.say(f"{run_id}: {outcome}")
        if left := list_pending(work_dir):
            raise Incomplete(
                f"not all has arrived: of {len(left)} runs something waits in {work_dir}. kmnist sync --show says what "
                "and why; kmnist sync tries again; to give it up, delete the run's folder there"
            )


def _as_row(run: "Pending") -> list[str]:
    refused = "; ".join(f"{what}: {answer}" for what, answer in run.set_aside)
    return [run.run_id, str(run.unsent_bytes), f"{run.since:%Y-%m-%dT%H:%M}", str(run.in_use).lower(), refused]
