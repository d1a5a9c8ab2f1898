"""One study in its storage: its definition, its budget, and which command writes it down."""

import re
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Annotated

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter

from kmnist.errors import StudyError
from kmnist.tuning.definition import Budget, Definition
from kmnist.tuning.liveness import Liveness
from kmnist.tuning.pruners import build_pruner
from kmnist.tuning.samplers import fitting
from kmnist.tuning.storage import StudyStorage, reading

NAME_RULE = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


class _Attrs(BaseModel):
    """What a study's attributes must be, whoever wrote them."""

    model_config = ConfigDict(strict=True)

    definition: str
    budget: Annotated[str, AfterValidator(lambda text: Budget.model_validate_json(text) and text)]
    data: dict[str, str]
    id: str
    out_of_time: bool
    run_id: str | None = None
    leader: str | None = None
    replaced: int = 0
    tags: dict[str, str] = {}


#: The values, and the values by epoch, of every trial.
_TRIALS = TypeAdapter(list[tuple[list[float] | None, dict[int, float]]])


@dataclass(frozen=True)
class TrackedStudy:
    """A study and all that is needed to work on it.

    Attributes:
        optuna: Optuna's part.
        storage: where it is kept.
        definition: what it is.
        data: what it is about: the data set's name and the SHA-256 of its train split.
    """

    optuna: optuna.Study
    storage: StudyStorage
    definition: Definition
    data: dict[str, str]

    @property
    def name(self) -> str:
        """Unique in its storage."""
        return str(self.optuna.study_name)

    @property
    def budget(self) -> Budget:
        """As it is now: a later command may have changed it."""
        with self.there():
            return Budget.model_validate_json(self.optuna.user_attrs["budget"])

    def set_budget(self, budget: Budget) -> None:
        """Let the study go on until ``budget``.

        Raises:
            SettingError: a grid has more points than that.
        """
        budget = fitting(self.definition, budget)
        self.optuna.set_user_attr("budget", budget.model_dump_json())
        self.optuna.set_user_attr("out_of_time", False)

    @property
    def replaced(self) -> int:
        """How many workers died or hung, and gave way to others: of this study and of all below the same run."""
        return int(self.optuna.user_attrs.get("replaced", 0))

    def add_replaced(self, workers: int) -> None:
        """Count some more."""
        with self.lock():
            self.optuna.set_user_attr("replaced", self.replaced + workers)

    @property
    def tags(self) -> dict[str, str]:
        """The user's, for all runs that come of it."""
        return dict(self.optuna.user_attrs.get("tags", {}))

    def lock(self) -> AbstractContextManager[None]:
        """Hold the study's lock."""
        return self.storage.lock(self.name)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Its trials, or those in some states.

        Raises:
            StudyError: somebody has deleted the study.
        """
        with self.there():
            return self.optuna.get_trials(deepcopy=False, states=states or None)

    @contextmanager
    def there(self) -> Iterator[None]:
        """Around a look at the study, which somebody may have deleted, or renamed in Optuna's dashboard.

        Raises:
            StudyError: so it is.
        """
        try:
            yield
        except KeyError as error:
            if self.name_in_storage() is not None:
                raise
            raise StudyError(
                f"study {self.name!r} is not in {self.storage.shown} any more: it was deleted, or renamed in Optuna's "
                "dashboard; its runs in MLflow are kept"
            ) from error

    def name_in_storage(self) -> str | None:
        """``None``: it is not there any more."""
        try:
            return self.storage.optuna.get_study_name_from_id(self.optuna._study_id)
        except KeyError:
            return None

    def lead(self, session: str, liveness: Liveness) -> bool:
        """Become, or stay, the one command that writes the study's own run."""
        with self.lock():
            leader = self.optuna.user_attrs.get("leader")
            if leader and leader != session and not liveness.is_dead(leader, self.optuna.user_attrs):
                return False
            if leader != session:
                self.optuna.set_user_attr("leader", session)
            return True


def create_study(
    storage: StudyStorage, name: str, definition: Definition, budget: Budget, data: dict[str, str]
) -> TrackedStudy:
    """A new study, or the one that another process made just now with the same definition.

    Raises:
        SettingError: sampler or pruner do not fit the definition.
        StudyError: the name cannot be one, or is that of another study.
    """
    if not NAME_RULE.fullmatch(name):
        raise StudyError(f"study {name!r}: a name has letters, digits, '_', '.' and '-' only, 100 at most")
    budget = fitting(definition, budget)
    pruner = build_pruner(definition)
    with storage.lock(name):
        made = optuna.create_study(
            storage=storage.optuna,
            study_name=name,
            direction=_direction(definition),
            pruner=pruner,
            load_if_exists=True,
        )
        if "definition" not in made.user_attrs and not made.get_trials(deepcopy=False):  # new, or its maker was killed
            study = TrackedStudy(made, storage, definition, data)
            study.set_budget(budget)
            made.set_user_attr("data", data)
            made.set_user_attr("id", uuid.uuid4().hex)  # its name is unique in this storage only
            made.set_user_attr("definition", definition.to_json())
    study = load_study(storage, name)
    require_same(study, definition, data)
    return study


def find_study(storage: StudyStorage, name: str) -> TrackedStudy | None:
    """A study, or ``None`` if there is none of this name.

    Raises:
        StudyError: it is not one of ours.
    """
    with reading(storage.shown):
        if name not in optuna.get_all_study_names(storage.optuna):
            return None
        study = optuna.load_study(study_name=name, storage=storage.optuna)
        if "definition" not in study.user_attrs:
            with storage.lock(name):  # another command may be making it just now
                pass
        if "definition" not in study.user_attrs:
            raise StudyError(f"study {name!r} in {storage.shown} was not made by `kmnist tune`; choose another name")
        attrs = _Attrs.model_validate(study.user_attrs)
        _TRIALS.validate_python(
            [(trial.values, trial.intermediate_values) for trial in study.get_trials(deepcopy=False)]
        )
        definition = Definition.from_json(attrs.definition)
        if study.directions != [_direction(definition)]:
            raise StudyError(
                f"study {name!r} in {storage.shown} goes another way than its definition; choose another name"
            )
        study.pruner = build_pruner(definition)
        return TrackedStudy(study, storage, definition, attrs.data)


def all_studies(storage: StudyStorage) -> list[TrackedStudy]:
    """Every study that ``kmnist tune`` made there, by name."""
    with reading(storage.shown):
        summaries = optuna.get_all_study_summaries(storage.optuna, include_best_trial=False)
        ours = sorted(found.study_name for found in summaries if "definition" in found.user_attrs)
    return [load_study(storage, name) for name in ours]


def load_study(storage: StudyStorage, name: str) -> TrackedStudy:
    """A study that exists.

    Raises:
        StudyError: it does not, or is not one of ours.
    """
    if study := find_study(storage, name):
        return study
    there = ", ".join(sorted(optuna.get_all_study_names(storage.optuna))) or "none"
    raise StudyError(f"there is no study {name!r} in {storage.shown}; there are: {there}")


def require_same(study: TrackedStudy, definition: Definition, data: dict[str, str]) -> None:
    """See that a study is the one that a user means.

    Raises:
        StudyError: it differs; the message says how.
    """
    differing = study.definition.differences(definition)
    differing += [
        f"{name}: {study.data[name]} there, {data[name]} here" for name in data if data[name] != study.data[name]
    ]
    if differing:
        raise StudyError(
            f"study {study.name!r} exists and differs ({'; '.join(differing)}); its trials could not be compared. "
            "Choose another --study, or give what it was made with"
        )


def _direction(definition: Definition) -> StudyDirection:
    return StudyDirection.MAXIMIZE if definition.objective.maximise else StudyDirection.MINIMIZE
