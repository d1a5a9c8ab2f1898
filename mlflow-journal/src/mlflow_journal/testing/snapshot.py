"""What a tracking server holds of an experiment, without ids and times, and how it differs from what it should hold."""

import hashlib
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run, ViewType

Points = list[tuple[int, float]]
#: An id that is neither the run's nor a model's nor the experiment's, and times, as they are found in texts.
_IN_TEXTS = (
    (re.compile(r"\+timestamp\+\d+\+[0-9a-f-]{36}|%timestamp%\d+%[0-9a-f-]{36}"), ""),
    (re.compile(r"\b(?:m-)?[0-9a-f]{32}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d+"), "TIME"),
)
#: Tags that tell of the machine, the program's place or the journal itself, and no fact that the program logged.
_TAGS_LEFT_OUT = re.compile(r"mlflow\.(source|user|runName|databricks)|mlflow_journal\.|mlflow-journal\.")


@dataclass(frozen=True)
class ModelSnapshot:
    """A logged model: name, state, parameters, tags, metrics as ``(key, step, value)``, and files by name."""

    name: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[tuple[str, int, float]]
    files: dict[str, str]


@dataclass(frozen=True)
class RunSnapshot:
    """A run.

    Attributes:
        status: For example ``FINISHED``.
        parent: Number of its parent among the experiment's runs, or none.
        params: Its parameters.
        tags: Its tags, ids and times replaced.
        points: Step and value of each point of each metric, in the order of steps.
        inputs: Its data sets.
        files: Digest of each artifact by name; texts without the ids and times in them.
        models: Its logged models, in the order of their creation.
        latest: The latest moment of any of its points and of its end, in milliseconds since 1970.
    """

    status: str
    parent: int | None
    params: dict[str, str]
    tags: dict[str, str]
    points: dict[str, Points]
    inputs: list[str]
    files: dict[str, str]
    models: list[ModelSnapshot]
    latest: int


@dataclass
class Findings:
    """How much is wrong, in numbers, and what, in words."""

    lost: int = 0
    doubled: int = 0
    changed: int = 0
    files: int = 0
    models: int = 0
    statuses: int = 0
    orphans: int = 0
    words: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        """Sum up."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def __str__(self) -> str:
        counts = (
            f"{self.lost} lost, {self.doubled} doubled, {self.changed} changed, {self.files} files wrong, "
            f"{self.models} models wrong, {self.statuses} statuses wrong, {self.orphans} orphans"
        )
        return "\n  ".join([counts, *self.words])


def take_snapshot(client: MlflowClient, experiment: str) -> list[RunSnapshot]:
    """All runs of the experiment of that name, in the order of their parameters and start; none if it is not there."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    place = found.experiment_id
    # Many runs may begin in one millisecond under random names, as those of a grid search do: parameters come first.
    runs = sorted(
        client.search_runs([place], run_view_type=ViewType.ALL, max_results=1000),
        key=lambda run: (sorted(run.data.params.items()), run.info.start_time, run.info.run_name),
    )
    models = sorted(client.search_logged_models([place]), key=lambda model: model.creation_timestamp)
    labels = {run.info.run_id: f"run {number}" for number, run in enumerate(runs)}
    labels |= {model.model_id: f"model {number}" for number, model in enumerate(models)}
    labels[f"/{place}/"] = "/experiment/"
    return [_of_run(client, run, runs, models, labels) for run in runs]


def _of_run(
    client: MlflowClient, run: Run, runs: list[Run], models: list[LoggedModel], labels: dict[str, str]
) -> RunSnapshot:
    ids = [other.info.run_id for other in runs]
    parent = run.data.tags.get("mlflow.parentRunId")
    history = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    moments = [point.timestamp for points in history.values() for point in points]
    given = run.inputs.dataset_inputs if run.inputs else []
    return RunSnapshot(
        status=run.info.status,
        parent=ids.index(parent) if parent in ids else -1 if parent else None,
        params=run.data.params,
        tags=_plain_tags(run.data.tags, labels),
        points={key: sorted((point.step, point.value) for point in points) for key, points in history.items()},
        inputs=sorted(
            f"{one.dataset.name} {one.dataset.digest} {[(t.key, t.value) for t in one.tags]}" for one in given
        ),
        files=_download(client, f"runs:/{run.info.run_id}/", labels),
        models=[_of_model(client, model, labels) for model in models if model.source_run_id == run.info.run_id],
        latest=max([run.info.end_time or 0, *moments]),
    )


def _of_model(client: MlflowClient, model: LoggedModel, labels: dict[str, str]) -> ModelSnapshot:
    return ModelSnapshot(
        name=model.name,
        status=str(model.status),
        params=model.params,
        tags=_plain_tags(model.tags, labels),
        metrics=sorted((metric.key, metric.step, metric.value) for metric in model.metrics or []),
        files=_download(client, model.artifact_location, labels),
    )


def _plain_tags(tags: dict[str, str], labels: dict[str, str]) -> dict[str, str]:
    return {key: _without_ids(text, labels) for key, text in tags.items() if not _TAGS_LEFT_OUT.match(key)}


def _without_ids(text: str, labels: dict[str, str]) -> str:
    for known, label in labels.items():
        text = text.replace(known, label)
    for pattern, word in _IN_TEXTS:
        text = pattern.sub(word, text)
    return text


def _download(client: MlflowClient, address: str, labels: dict[str, str]) -> dict[str, str]:
    from mlflow.artifacts import download_artifacts

    with TemporaryDirectory() as place:
        folder = Path(download_artifacts(address, dst_path=place, tracking_uri=client.tracking_uri))
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {_without_ids(str(path.relative_to(folder)), labels): _digest(path, labels) for path in paths}


def _digest(path: Path, labels: dict[str, str]) -> str:
    content = path.read_bytes()
    with suppress(UnicodeDecodeError):
        content = _without_ids(content.decode(), labels).encode()
    return f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()[:16]}"


def compare(
    found: list[RunSnapshot], expected: list[RunSnapshot], varying: str = r"(?!)", uncounted: str = r"(?!)"
) -> Findings:
    """How what was found differs from what was expected.

    Args:
        found: The experiment under test.
        expected: The same program's experiment, undisturbed.
        varying: Regular expression for names of metrics, parameters, tags and files whose values differ from one
            execution to the next; they must be there all the same, with the same steps.
        uncounted: The same for metrics whose number of steps differs, too: they must be there without a hole.
    """
    findings = Findings(orphans=max(len(found) - len(expected), 0))
    if len(found) != len(expected):
        findings.words.append(f"{len(found)} runs in place of {len(expected)}")
    for number, wanted in enumerate(expected):
        if number < len(found):
            _compare_runs(findings, f"run {number}", found[number], wanted, re.compile(varying), re.compile(uncounted))
        else:
            findings.lost += sum(map(len, wanted.points.values())) or 1
    return findings


def _compare_runs(
    findings: Findings,
    where: str,
    found: RunSnapshot,
    wanted: RunSnapshot,
    varying: re.Pattern[str],
    uncounted: re.Pattern[str],
) -> None:
    if found.status != wanted.status:
        findings.statuses += 1
        findings.words.append(f"{where}: status {found.status} in place of {wanted.status}")
    if found.parent != wanted.parent:
        findings.changed += 1
        findings.words.append(f"{where}: parent {found.parent} in place of {wanted.parent}")
    if found.inputs != wanted.inputs:
        findings.changed += 1
        findings.words.append(f"{where}: inputs {found.inputs} in place of {wanted.inputs}")
    for name in sorted(found.points | wanted.points):
        _compare_points(findings, f"{where}, {name}", name, found, wanted, varying, uncounted)
    findings.changed += _differences(findings, f"{where}, parameter", found.params, wanted.params, varying)
    findings.changed += _differences(findings, f"{where}, tag", found.tags, wanted.tags, varying)
    findings.files += _differences(findings, f"{where}, file", found.files, wanted.files, varying)
    if len(found.models) != len(wanted.models):
        findings.models += abs(len(found.models) - len(wanted.models))
        findings.words.append(f"{where}: {len(found.models)} models in place of {len(wanted.models)}")
    for ours, theirs in zip(found.models, wanted.models):
        heads = _head(ours, varying), _head(theirs, varying)
        findings.models += _differences(findings, f"{where}, model {theirs.name}", *heads, varying)
        findings.files += _differences(findings, f"{where}, {theirs.name}, file", ours.files, theirs.files, varying)


def _head(model: ModelSnapshot, varying: re.Pattern[str]) -> dict[str, str]:
    """All of a model but its files, as words."""
    metrics = [(key, step, None if varying.search(key) else value) for key, step, value in model.metrics]
    return {"state": model.status, "params": f"{model.params}", "tags": f"{model.tags}", "metrics": f"{metrics}"}


def _compare_points(
    findings: Findings,
    where: str,
    name: str,
    found: RunSnapshot,
    wanted: RunSnapshot,
    varying: re.Pattern[str],
    uncounted: re.Pattern[str],
) -> None:
    ours, theirs = found.points.get(name, []), wanted.points.get(name, [])
    if uncounted.search(name):
        steps = [step for step, _ in ours]
        holes = len(set(range(max(steps, default=0))) - set(steps)) if ours else int(bool(theirs))
        lost, doubled, changed = holes, len(steps) - len(set(steps)), 0
    elif varying.search(name):
        had, have = Counter(step for step, _ in theirs), Counter(step for step, _ in ours)
        lost, doubled, changed = (had - have).total(), (have - had).total(), 0
    else:  # a value of nan equals no other: compare as text
        had_values, have_values = Counter(map(str, theirs)), Counter(map(str, ours))
        missing, more = (had_values - have_values).total(), (have_values - had_values).total()
        changed = min(missing, more)
        lost, doubled = missing - changed, more - changed
    findings.lost += lost
    findings.doubled += doubled
    findings.changed += changed
    if lost or doubled or changed:
        findings.words.append(f"{where}: {lost} points lost, {doubled} doubled, {changed} changed")


def _differences(
    findings: Findings, where: str, found: dict[str, str], wanted: dict[str, str], varying: re.Pattern[str]
) -> int:
    count = 0
    for name in sorted(found.keys() | wanted.keys()):
        ours, theirs = found.get(name), wanted.get(name)
        if ours == theirs or (varying.search(name) and ours is not None and theirs is not None):
            continue
        count += 1
        findings.words.append(f"{where} {name}: {ours!r} in place of {theirs!r}")
    return count
