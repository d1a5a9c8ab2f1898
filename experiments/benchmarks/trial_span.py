"""From when to when a study's trials ran: without the start and the end of the command that made them."""

from kmnist.tuning.study import TrackedStudy


def trial_span(study: TrackedStudy) -> tuple[float, float]:
    """When the first trial started and the last one ended, in seconds of Unix time."""
    trials = study.trials()
    started = [trial.datetime_start for trial in trials if trial.datetime_start]
    ended = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    return min(started).timestamp(), max(ended).timestamp()
