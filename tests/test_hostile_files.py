"""Checkpoints, files of studies and of settings made to hurt: each is one message, and nothing else happens."""

import json
import pickle
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from kmnist.checkpoint import FILE_NAME
from kmnist.cli.options import given_settings
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.errors import KmnistError
from kmnist.experiment import NullRun, prepare
from kmnist.tuning.definition import parse
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import create_study
from tests.commands import Command, Done
from tests.nets import train
from tests.peak import peak
from tests.test_hostile_pictures import Code

Facts = dict[str, Any]
Tensors = dict[str, Tensor]


def is_one_message(done: Done) -> None:
    assert done.returncode == 1, done
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith("kmnist: ")
    assert len(done.stderr) < 2_000


@pytest.fixture(scope="module")
def good_checkpoint(drawn: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "abc"
    config = TrainConfig.parse({"hidden": "8", "epochs": 3, "schedule": "onecycle", "dataset": "sample"})

    class Run(NullRun):
        id = "abc"

    train(config, prepare(config, drawn), Run(), folder)
    return folder


def set_fact(*path: str | int, to: Any) -> Callable[[Facts, Tensors], None]:
    def change(facts: Facts, tensors: Tensors) -> None:
        inner: Any = facts
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = to

    return change


def set_tensor(name: str, to: Tensor | None) -> Callable[[Facts, Tensors], None]:
    def change(facts: Facts, tensors: Tensors) -> None:
        tensors.pop(name)
        if to is not None:
            tensors[name] = to

    return change


CHECKPOINTS: dict[str, Callable[[Facts, Tensors], object]] = {
    "no run": set_fact("run_id", to=None),
    "no epochs": set_fact("epochs", to=[]),
    "epochs that are none": set_fact("epochs", to="three"),
    "an epoch of another number": set_fact("epochs", 0, "number", to=7),
    "an epoch of text": set_fact("epochs", 0, "valid", "loss", to="low"),
    "an epoch with more": set_fact("epochs", 0, "secret", to=1),
    "a best epoch that was not": set_fact("best_epoch", to=99),
    "another form": set_fact("version", to=1),
    "another device": set_fact("compute", "device", to=7),
    "more about the device": set_fact("compute", "more", to=7),
    "no classes": set_fact("spec", "classes", to=[]),
    "a million classes": set_fact("spec", "classes", to=[{"text": "a", "glyph": "a"}] * 1_000_000),
    "huge images": set_fact("spec", "shape", to=[10**9, 10**9]),
    "kept weights that are no names": set_fact("kept", to=[7]),
    "another setting": set_fact("config", "hidden", to="9"),
    "an unknown setting": set_fact("config", "hiden", to="8"),
    "settings of a terabyte": set_fact("config", "hidden", to="65536," * 10),
    "settings of a million layers": set_fact("config", "hidden", to="1," * 1_000_000),
    "a setting of 5000 digits": set_fact("config", "epochs", to="9" * 5_000),
    "a matrix that is none": set_fact("confusion", to=[[1, 2], [3]]),
    "a matrix of another size": set_fact("confusion", to=[[1]]),
    "a load of text": set_fact("load", to={"system/cpu": "much"}),
    "digests that are none": set_fact("data_digests", to={"train": 7}),
    "a weight too few": set_tensor("model/network.fc1.weight", None),
    "a weight of another shape": set_tensor("model/network.fc1.weight", torch.zeros(3)),
    "a weight of another kind": set_tensor("best/network.fc1.weight", torch.zeros(8, 784, dtype=torch.int64)),
    "a best weight too few": set_tensor("best/network.fc1.bias", None),
    "an optimizer without a moment": set_tensor("optimisation/0/exp_avg/network.fc1.weight", None),
    "a moment of another shape": set_tensor("optimisation/0/exp_avg/network.fc1.weight", torch.zeros(1)),
    "a moment of no parameter": lambda facts, tensors: tensors.update(
        {"optimisation/0/exp_avg/network.fc99.weight": torch.zeros(1)}
    ),
    "a moment without a number": lambda facts, tensors: tensors.update({"optimisation/x/y": torch.zeros(1)}),
    "facts that are none": lambda facts, tensors: facts.clear(),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_tampered_checkpoint_is_one_message(
    name: str, good_checkpoint: Path, kmnist_command: Command, tmp_path: Path
) -> None:
    with safe_open(good_checkpoint / FILE_NAME, "pt") as file:
        facts = json.loads(file.metadata()["kmnist"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    CHECKPOINTS[name](facts, tensors)
    path = tmp_path / "runs" / "abc" / FILE_NAME
    path.parent.mkdir(parents=True)
    save_file(tensors, path, {"kmnist": json.dumps(facts)})
    rejected_by_every_command(path, kmnist_command)


def rejected_by_every_command(path: Path, kmnist_command: Command) -> None:
    Image.new("L", (28, 28)).save("x.png")
    began = time.process_time()
    for arguments in (["train", "--resume", "abc"], ["predict", "x.png", "--model", str(path)]):
        done = kmnist_command(*arguments)
        is_one_message(done)
        assert "is damaged or of another version of this program" in done.stderr
    assert time.process_time() - began < 10


HEADER = b'{"__metadata__":{"kmnist":"%s"}}'
FORGED: dict[str, bytes] = {
    "nothing": b"",
    "code": pickle.dumps(Code()),
    "a header of 2**63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "a header that is no JSON": struct.pack("<Q", 4) + b"{{{{",
    "no facts": struct.pack("<Q", 2) + b"{}",
    "facts 100,000 levels deep": struct.pack("<Q", len(HEADER) - 2 + 100_000) + HEADER % (b"[" * 100_000),
    "tensors over each other": (lambda head: struct.pack("<Q", len(head)) + head + bytes(4))(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    ),
    "a tensor of 2**62 numbers": (lambda head: struct.pack("<Q", len(head)) + head + bytes(4))(
        b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}'
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_checkpoint_is_one_message(name: str, kmnist_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "abc" / FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(FORGED[name])
    rejected_by_every_command(path, kmnist_command)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("run_id", ["../../x", "/etc", ".", "", "a/../b", "x" * 5_000, "\x1b[2J", "a b"])
def test_what_is_no_run_is_not_looked_for(run_id: str, kmnist_command: Command, good_checkpoint: Path) -> None:
    (Path("elsewhere") / "abc").mkdir(parents=True)
    shutil.copy(good_checkpoint / FILE_NAME, Path("elsewhere") / "abc")
    for value in (run_id, "../elsewhere/abc"):
        done = kmnist_command("train", f"--resume={value}")
        is_one_message(done)
        assert "must be the id of a run" in done.stderr
        assert "\x1b" not in done.stderr


def study_file(path: Path) -> list[dict[str, Any]]:
    """The lines of a storage with a study of two trials."""
    definition, budget = parse({"search": {"learning_rate": None, "hidden": None}, "trials": 3, "sampler": "random"})
    study = create_study(open_storage(str(path)), "s", definition, budget, {"dataset": "sample", "train SHA-256": "0"})
    study.optuna.set_user_attr("run_id", "r")
    for value in (0.5, 0.7):
        trial = study.optuna.ask()
        trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        trial.report(value, 1)
        study.optuna.tell(trial, value)
    return [json.loads(line) for line in path.read_text().splitlines()]


def set_attr(name: str, to: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(lines: list[dict[str, Any]]) -> None:
        last = max(place for place, line in enumerate(lines) if name in line.get("user_attr", {}))
        lines[last]["user_attr"][name] = to

    return change


def set_field(name: str, to: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(lines: list[dict[str, Any]]) -> None:
        next(line for line in lines if name in line)[name] = to

    return change


STUDIES: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "definition that is no text": set_attr("definition", 7),
    "definition that is no JSON": set_attr("definition", "{"),
    "definition that is a list": set_attr("definition", "[]"),
    "definition that confirms a list": set_attr("definition", '{"confirms": []}'),
    "definition 100,000 levels deep": set_attr("definition", "[" * 100_000),
    "definition of another setting": set_attr("definition", '{"confirms": null, "search": {"x": [1]}}'),
    "budget that is no JSON": set_attr("budget", "much"),
    "budget of less than nothing": set_attr("budget", '{"trials": -1}'),
    "data of nothing": set_attr("data", None),
    "time of text": set_attr("out_of_time", "no"),
    "run that is a list": set_attr("run_id", ["r"]),
    "operation that there is not": set_field("op_code", 99),
    "direction that there is not": set_field("directions", [7]),
    "two directions": set_field("directions", [1, 2]),
    "trial of no study": set_field("study_id", 99),
    "distribution that is none": set_field("distribution", "{}"),
    "distribution of another class": set_field("distribution", '{"name": "os.system", "attributes": {"x": 1}}'),
    "value of text": set_field("values", ["high"]),
    "epoch of text": set_field("intermediate_value", "high"),
    "time that is none": set_field("datetime_start", "yesterday"),
    "state that there is not": set_field("state", 99),
    "line that is no mapping": lambda lines: lines.append([1]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_tampered_study_is_one_message(name: str, kmnist_command: Command) -> None:
    lines = study_file(Path("studies.log"))
    STUDIES[name](lines)
    Path("studies.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for arguments in (["studies"], ["tune", "--study", "s", "--dataset", "sample", "--trials", "2"]):
        done = kmnist_command(*arguments)
        is_one_message(done)


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 100,
        b"\xff\xfe",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        b"not JSON\n",
        pickle.dumps(Code()),
        b"9" * 5_000 + b"\n",
    ],
)
def test_what_is_no_storage_is_one_message(content: bytes, kmnist_command: Command) -> None:
    Path("studies.log").write_bytes(content + b"\n")
    is_one_message(kmnist_command("studies"))
    assert not Path("it ran").exists()


YAML: dict[str, str] = {
    "billions of values": "a: &a [1,1,1,1,1,1,1,1,1]\n"
    + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi"))
    + "hidden: *i\n",
    "a loop": "hidden: &a [*a]\n",
    "10,000 levels": "hidden: " + "[" * 10_000,
    "code": "hidden: !!python/object/apply:os.mkdir ['it ran']\n",
    "a number of 5000 digits": f"epochs: {'9' * 5_000}\n",
    "a number of 5000 hexadecimal digits": f"epochs: 0x{'f' * 5_000}\n",
    "a list of such": f"hidden: [0x{'f' * 5_000}]\n",
    "a range of such": f"search: {{learning_rate: {{low: 0x{'f' * 5_000}, high: 1}}}}\n",
    "a date that is none": "epochs: 2001-99-99\n",
    "a time that is none": "epochs: !!timestamp x\n",
    "a number that is none": "epochs: !!int x\n",
    "a key that is a list": "? [a]\n: 1\n",
    "bytes": "epochs: !!binary abc=\n",
    "a megabyte": "# " + "x" * 1_000_000 + "\nepochs: 1\n",
    "control characters": "epochs: \x1b[2J\n",
    "a list": "- 1\n",
    "nothing": "",
    "a word": "epochs",
    "minutes": "epochs: " + "59:" * 30_000 + "1\n",
    "infinity": "learning_rate: .inf\n",
    "a setting of 5000 characters": f"{'x' * 5_000}: 1\n",
}


@pytest.mark.parametrize("name", YAML)
def test_a_hostile_file_of_settings_is_one_message(name: str, kmnist_command: Command) -> None:
    path = Path("hostile.yaml")
    path.write_text(YAML[name])

    def read() -> None:
        parse(given_settings([], path))

    megabytes, seconds = peak(read, raising=KmnistError)
    assert megabytes < 100
    assert seconds < 5
    for arguments in (["train", "--experiment", "hostile.yaml"], ["tune", "--study-file", "hostile.yaml"]):
        is_one_message(kmnist_command(*arguments))
    assert not Path("it ran").exists()


@pytest.mark.parametrize("place", ["/dev/zero", ".", "x" * 5_000])
def test_a_file_of_settings_that_is_none_is_one_message(place: str, kmnist_command: Command) -> None:
    is_one_message(kmnist_command("train", "--experiment", place))
