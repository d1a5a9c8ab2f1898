"""What is kept of a write, what it is called, and what a later one leaves of it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from mlflow_journal.errors import Unresolved
from mlflow_journal.identities import CREATION_TAG, Identities, is_provisional, new_id, new_model_id
from mlflow_journal.operations import (
    KINDS,
    CreateExperiment,
    CreateModel,
    CreateRun,
    Damaged,
    DeleteExperimentTag,
    DeleteModelTag,
    DeleteTag,
    FinalizeModel,
    LogArtifact,
    LogBatch,
    LogInputs,
    LogModelParams,
    LogOutputs,
    Operation,
    RecordModel,
    SetExperimentTag,
    SetModelTags,
    UpdateRun,
    operation,
)

TAGS = {CREATION_TAG: "c", "a": "1"}
EXAMPLES: list[Operation] = [
    CreateExperiment("journal1", "name", None, TAGS),
    CreateModel("m-journal1", "1", "name", "run", TAGS, {"p": "1"}, "type"),
    CreateRun("journal1", "1", "me", 5, TAGS, "name"),
    DeleteExperimentTag("1", "key"),
    DeleteModelTag("m-1", "key"),
    DeleteTag("run", "key"),
    FinalizeModel("m-1", "READY"),
    LogArtifact("mlflow-artifacts:/1/run/artifacts", "run", "folder", "000001/file"),
    LogBatch("run", [["m", 0.5, 1, 2], ["n", -1.0, 1, 3, "m-1", None, None]], {"p": "1"}, {"t": "x"}),
    LogInputs("run", [{"name": "d", "digest": "1", "tags": {"context": "train"}}], ["m-1"]),
    LogModelParams("m-1", {"p": "1"}),
    LogOutputs("run", [("m-1", 3)]),
    RecordModel("run", {"artifact_path": "model"}),
    SetExperimentTag("1", "key", "value"),
    SetModelTags("m-1", {"t": "x"}),
    UpdateRun("run", "FINISHED", 7, None),
]


def test_every_kind_is_here() -> None:
    assert {type(example) for example in EXAMPLES} == set(KINDS.values())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
def test_what_is_kept_is_read_again(example: Operation) -> None:
    kept = json.loads(json.dumps({"v": 1, "id": 1, **example.to_json()}))
    assert json.loads(json.dumps(operation(kept).to_json())) == json.loads(json.dumps(example.to_json()))
    assert example.describe()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
def test_a_record_without_a_part_is_damaged_or_has_no_such_part(example: Operation) -> None:
    kept = {"v": 1, "id": 1, **example.to_json()}
    required = [name for name in kept if name not in ("v", "id", "op", "metrics", "params", "tags")]
    for name in required:
        assert isinstance(operation({key: value for key, value in kept.items() if key != name}), Damaged)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"v": 2, "op": "batch", "run_id": "r"},
        {"v": 1, "op": "unknown"},
        {"v": 1, "op": ["batch"]},
        {"v": 1, "op": "batch", "run_id": 7},
        {"v": 1, "op": "batch", "run_id": "r", "metrics": [["m", "1", 1, 1]]},
        {"v": 1, "op": "batch", "run_id": "r", "tags": {"t": 1}},
        {"v": 1, "op": "create_run", **CreateRun("j", "1", "", 0, {}, None).to_json()},
    ],
)
def test_what_this_version_does_not_write_is_damaged(record: dict[str, Any]) -> None:
    assert isinstance(operation(record), Damaged)


def test_a_batch_becomes_requests_within_the_limits() -> None:
    batch = LogBatch(
        "run",
        [["m", float(step), 1, step] for step in range(2500)],
        {f"p{number}": "x" * 6000 for number in range(150)},
        {f"t{number}": "y" * 100 for number in range(250)},
    )
    bodies = list(batch.bodies())
    for body in bodies:
        sizes = [len(body.get(part, ())) for part in ("metrics", "params", "tags")]
        assert sum(sizes) <= 1000
        assert sizes[1] <= 100
        assert sizes[2] <= 100
        assert len(json.dumps(body)) < 1_000_000
    for part, count in (("metrics", 2500), ("params", 150), ("tags", 250)):
        assert sum(len(body.get(part, ())) for body in bodies) == count


def test_numbers_that_json_has_not_are_words() -> None:
    batch = LogBatch("run", [["m", math.nan, 1, 0], ["m", math.inf, 1, 1], ["m", -math.inf, 1, 2]], {}, {})
    (body,) = batch.bodies()
    assert [metric["value"] for metric in body["metrics"]] == ["NaN", "Infinity", "-Infinity"]


def test_a_later_write_leaves_nothing_of_what_it_replaces() -> None:
    tags = LogBatch("run", [["m", 1.0, 1, 1]], {}, {"a": "1", "b": "1"})
    assert tags.superseded_by(LogBatch("run", [], {}, {"a": "2"})) == LogBatch(
        "run", [["m", 1.0, 1, 1]], {}, {"b": "1"}
    )
    assert tags.superseded_by(LogBatch("other", [], {}, {"a": "2"})) is tags
    assert LogBatch("run", [], {}, {"a": "1"}).superseded_by(DeleteTag("run", "a")) is None
    assert DeleteTag("run", "a").superseded_by(LogBatch("run", [], {}, {"a": "2"})) is None
    running = UpdateRun("run", "RUNNING", None, "name")
    assert running.superseded_by(UpdateRun("run", "FINISHED", 1, None)) == UpdateRun("run", None, None, "name")
    assert running.superseded_by(UpdateRun("run", None, None, "new")) == UpdateRun("run", "RUNNING", None, None)
    assert running.superseded_by(UpdateRun("other", "FINISHED", 1, "x")) is running
    first = LogArtifact("root", "run", "a", "000001/f")
    assert first.superseded_by(LogArtifact("root", "run", "a", "000002/f")) is None
    assert first.superseded_by(LogArtifact("root", "run", "b", "000002/f")) is first


def test_provisional_ids_have_a_form_of_their_own_and_are_found_in_any_text(tmp_path: Path) -> None:
    identities = Identities(tmp_path)
    run, model = new_id(), new_model_id()
    assert len(run) == 32
    assert is_provisional(run)
    assert is_provisional(model)
    assert not is_provisional("0123456789abcdef0123456789abcdef")
    assert not is_provisional("journal")
    with pytest.raises(Unresolved, match=run):
        identities.resolve(f"a tag that names {run}")
    identities.record(run, "real")
    Identities(tmp_path).record(model, "m-real")
    assert (
        identities.resolve(json.dumps({"run": run, "uri": f"models:/{model}"}))
        == '{"run": "real", "uri": "models:/m-real"}'
    )
    assert identities.canonical(run) == "real"


def test_the_last_line_of_the_ids_may_be_torn(tmp_path: Path) -> None:
    Identities(tmp_path).record(new_id(), "one")
    path = tmp_path / "identities.jsonl"
    torn = path.read_bytes() + b'{"v": 1, "provisional": "jour'
    path.write_bytes(torn)
    late = new_id()
    Identities(tmp_path).record(late, "two")
    assert Identities(tmp_path).find(late) == "two"
    assert list(Identities(tmp_path).all().values()) == ["one", "two"]
