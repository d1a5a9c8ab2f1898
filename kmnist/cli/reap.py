"""``kmnist reap``"""

from pathlib import Path

from kmnist.cli.options import TrackingUri, WorkDir
from kmnist.errors import SettingError


def reap(*, silent_for: float = 300, work_dir: WorkDir = Path("runs"), tracking_uri: TrackingUri = None) -> None:
    """End runs whose process is gone as KILLED; one that lives is never ended.

    Parameters
    ----------
    silent_for
        seconds without a sign of life after which a run is looked at
    """
    from kmnist.cli.printer import Printer
    from kmnist.tracking import connect, find_silent
    from kmnist.tracking import reap as end_those_that_are_gone
    from kmnist.tracking.heartbeat import BEAT_SECONDS
    from kmnist.tracking.reap import WATCH_SECONDS

    if silent_for < BEAT_SECONDS:
        raise SettingError(f"silent_for={silent_for:g}: must be at least {BEAT_SECONDS:g}, the time between two signs")
    screen = Printer()
    client = connect(tracking_uri, make=False)
    runs = find_silent(client, silent_for)
    if not runs:
        screen.say(f"every run that is RUNNING gave a sign of life in the last {silent_for:g} seconds")
    outcomes = end_those_that_are_gone(
        client, runs, work_dir, lambda count: screen.say(f"watching {count} of them for {WATCH_SECONDS:g} seconds")
    )
    for run, outcome in outcomes:
        screen.say(f"{run.info.run_id} {run.info.run_name}: {outcome}")
