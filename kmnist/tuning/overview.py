"""All studies of a storage at a glance."""

from optuna.trial import TrialState

from kmnist.tuning.liveness import PREFIX, Liveness
from kmnist.tuning.storage import StudyStorage, reading
from kmnist.tuning.study import TrackedStudy, all_studies
from kmnist.tuning.table import best_trial

COLUMNS = ("study", "state", "trials", "metric", "best", "run")


def overview(storage: StudyStorage) -> list[dict[str, str]]:
    """One row a study: name, state, trials, best value, its trial, and the study's run in MLflow."""
    with reading(storage.shown):
        return [_row(study) for study in all_studies(storage)]


def _row(study: TrackedStudy) -> dict[str, str]:
    trials = study.trials()
    best = best_trial(trials, study.definition)
    counts = {state: sum(trial.state == state for trial in trials) for state in TrialState}
    ended = sum(trial.state.is_finished() for trial in trials)
    pruned, failed = counts[TrialState.PRUNED], counts[TrialState.FAIL]
    counted = f"{ended} of {study.budget.trials} ({pruned} pruned, {failed} failed)"
    value = f"{best.value:.4f} (trial {best.number})" if best else "-"
    run = study.optuna.user_attrs.get("run_id", "-")
    return dict(zip(COLUMNS, (study.name, _state(study, ended), counted, study.definition.method.metric, value, run)))


def _state(study: TrackedStudy, ended: int) -> str:
    attrs, liveness = study.optuna.user_attrs, Liveness()
    if any(not liveness.seems_dead(name.removeprefix(PREFIX), attrs) for name in attrs if name.startswith(PREFIX)):
        return "running"
    if attrs["out_of_time"]:
        return "out of time"
    return "finished" if ended >= study.budget.trials else "interrupted"
