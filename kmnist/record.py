"""The vocabulary of a run: what its metrics, tags and artifacts are called, and what "better" means.

Whoever writes a run and whoever reads one use these names; nobody else spells them. ``TrackedRun`` is a run read back.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar

from kmnist.config import TrainConfig
from kmnist.errors import SettingError

T = TypeVar("T")

# Metrics, by epoch. Slashes make sections of charts in MLflow's pages.
TRAIN, VALID, TEST, TEST_LAST, GAP, BEST = "train", "valid", "test", "test_last", "gap", "best"
EVALUATION = "evaluation"  # of a model, after its training, on any pictures
DIAGNOSTICS, OBSERVED = "diagnostics", "observed"  # observed: of the test split at epochs that it did not choose
LEARNING_RATE, EPOCH_SECONDS, IMAGES_PER_SECOND = "learning_rate", "epoch_seconds", "images_per_second"
BEST_EPOCH = "best_epoch"
GAIN, DIVERSITY = "ensemble/gain_valid_accuracy", "ensemble/diversity"
UNSURE, SURE = "unsure", "accuracy_if_sure"  # of a split: the share of unsure answers, the accuracy of the others
TEMPERATURE, UNSURE_BELOW = "calibration/temperature", "calibration/unsure_below"

# Tags.
DATASET, OFFICIAL, END_REASON, INITIAL_DIGEST = "dataset", "data.official", "end_reason", "init_from.sha256"
STUDY, STUDY_ID, KIND, TRIAL = "study", "study.id", "kind", "trial"
OFFERED_RUN, OFFERED, BEST_RUN, BEST_TRIAL = "study.offered_run", "study.offered", "study.best_run", "study.best_trial"
BEST_OF_STUDY, CONFIRMATION, TRIAL_STATE, TRIAL_VALUE = "study.best", "confirmation", "trial.state", "trial.value"
GONE_ON = "trial.gone_on"  # from where another worker went on with a trial
REPLACED_WORKERS = "study.replaced_workers"  # how many died or hung, and gave way to others
REPEATED = "trial.repeats"  # the number of an earlier trial with the same settings, whose result was taken
KIND_STUDY, KIND_TRIAL, KIND_CONFIRMATION = "study", "trial", "confirmation"  # values of KIND
KIND_EVALUATION, KIND_REPORT = "evaluation", "report"
KIND_ENSEMBLE = "ensemble"
ENSEMBLE_ID = "ensemble.id"  # of what was asked for, to find the run again
MEMBERS = "ensemble.members"  # ids of their runs
WHAT = "ensemble"  # in words: vote of 3 cnn
MEMBER_OF = "ensemble.in."  # at a member: with the id of the ensemble's run, which kind that is
MODEL = "model"  # that was evaluated: the name that it was asked for by
SOURCES = "report.sources"  # ids of the runs that a report is of
NOTE = "note"  # the user's own, which stands above ours
KEEP = "keep"  # the user's own, too: "true" keeps all that the run has
PRUNED = "pruned"  # what was deleted of the run
IMPORTED = "imported.from"  # the id that the run had where it was exported
#: What every other tag of ours begins with, or is: those that a user gives a run must not.
OWN_TAGS = (
    *("confirmation", "data", "dataset", "device", "end_reason", "ensemble", "git", "heartbeat", "imported"),
    *("init_from", "kind", "kmnist", "mlflow", "model", "note", "precision", "processor", "pruned", "report"),
    *("study", "threads", "trial", "unsent", "version"),
)

#: Of a study's table of its trials; after them comes a column for each searched setting.
TRIAL_COLUMNS = (
    *("trial", "state", "value", "best_so_far", "best_epoch", "epochs", "seconds", "started", "ended"),
    *("run_id", "reason"),
)

SHORTEST_ID = 4  # characters of a run's id that may stand for all of it

#: MLflow's own: ``mlflow run`` makes its run there before we are started, and a run cannot be moved. So that all runs
#: are found in one place, however they were begun.
DEFAULT_EXPERIMENT = "Default"

# Artifacts.
FIGURES, REPORTS, DATA_SPEC, TRACEBACK = "figures", "reports", "data.json", "traceback.txt"
CODE_PATCH = "code.patch"  # what was changed of the code since its commit
LAYERS, PREDICTIONS, MEMBERS_TABLE = "diagnostics.csv", "predictions.csv", "members.csv"  # in REPORTS
ANY_MODEL = "model"  # runs:/RUN_ID/model: the one that a run has of us, whatever its name
VALID_CONFUSION = "valid confusion"  # the series of images over the epochs


def metric(split: str, name: str) -> str:
    """``valid/accuracy``."""
    return f"{split}/{name}"


def model_uri(run_id: str) -> str:
    """The name of a run's model, as all of our loading takes it."""
    return f"runs:/{run_id}/{ANY_MODEL}"


def is_own_tag(key: str) -> bool:
    """Whether a tag is of this package, or of MLflow: ``git.commit``."""
    return key.partition(".")[0] in OWN_TAGS


@dataclass(frozen=True)
class Objective:
    """What the best is judged by: the only place that decides what is better.

    Attributes:
        name: of the metric.
        maximise: whether more is better.
    """

    name: str
    maximise: bool

    @classmethod
    def of(cls, name: str) -> Self:
        """The objective of a metric, ``valid/accuracy`` or, as in ``select_by``, ``valid_accuracy``."""
        return cls(name.replace("_", "/", 1) if "/" not in name else name, maximise=not name.endswith("loss"))

    def is_better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better."""
        return value > than if self.maximise else value < than

    def rank(self, value: float) -> float:
        """A key to sort by, the best first."""
        return -value if self.maximise else value

    def best(self, items: Iterable[T], value: Callable[[T], float]) -> T | None:
        """The item with the best value, the first of equals; ``None`` of none."""
        return min(items, key=lambda item: self.rank(value(item)), default=None)


@dataclass(frozen=True)
class TrackedRun:
    """A run as typed values.

    Attributes:
        run_id: in MLflow.
        name: in MLflow.
        status: RUNNING, FINISHED, FAILED or KILLED.
        params: as text.
        metrics: the last value of each.
        tags: as text.
        digests: SHA-256 (shortened by MLflow) of the images of each split that it had as input.
    """

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """The name of its data set; empty in a run that is not one of ours."""
        return self.tags.get(DATASET, "")

    @property
    def is_ensemble(self) -> bool:
        """Whether its model is made of those of other runs."""
        return self.tags.get(KIND) == KIND_ENSEMBLE

    @property
    def is_official(self) -> bool:
        """Whether it was trained on images as they were published. Runs of versions before this tag: on KMNIST."""
        return self.tags.get(OFFICIAL, str(self.dataset == "kmnist").lower()) == "true"

    @property
    def config(self) -> TrainConfig | None:
        """Its settings; ``None`` if it is not a training of ours.

        Earlier versions logged a setting that the architecture has not (``dropout`` of ``plain``): it is left out.
        """
        arch = self.params.get("arch", "")
        try:
            fields = TrainConfig.fields(arch)
            return TrainConfig.parse({name: text for name, text in self.params.items() if name in fields})
        except SettingError:
            return None

    @property
    def study(self) -> str | None:
        """The study that it is of."""
        return self.tags.get(STUDY)

    def value(self, split: str, name: str) -> float | None:
        """A metric, for example of ``test`` the ``accuracy``; ``None`` if it has none."""
        return self.metrics.get(metric(split, name))
