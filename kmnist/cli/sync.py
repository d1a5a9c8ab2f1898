"""``kmnist sync``"""

from pathlib import Path

from kmnist.cli.options import TrackingUri, WorkDir


def sync(*, work_dir: WorkDir = Path("runs"), tracking_uri: TrackingUri = None) -> None:
    """Send what the tracking server has not taken yet.

    Parameters
    ----------
    work_dir
        folder that the runs were given
    tracking_uri
        MLflow server or database that the runs belong to [default: sqlite:///mlflow.db]
    """
    from kmnist.cli.progress import Screen
    from kmnist.tracking import connect, send_pending

    screen = Screen(quiet=False)
    outcomes = dict(send_pending(connect(tracking_uri), work_dir))
    for run_id, outcome in outcomes.items():
        screen.say(f"{run_id}: {outcome}")
    if not outcomes:
        screen.say(f"nothing is waiting in {work_dir}")
