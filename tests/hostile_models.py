"""Saved models that were edited by hand, to run a command, to exhaust the machine, or to read what they should not."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from kmnist.network import SETTINGS, WEIGHTS

#: What a hostile model makes, beside its folder, when its code runs.
MARKER = "it-ran"
Edit = Callable[[Path], object]


def command(folder: Path) -> str:
    """Python that leaves the marker; an expression."""
    return f"__import__('pathlib').Path({str(folder.parent / MARKER)!r}).touch()"


def graph(edit: Callable[[str, str], str]) -> Edit:
    """Edits the JSON of the exported graph, which is given with the command."""

    def apply(folder: Path) -> None:
        path, name = folder / "data" / "model.pt2", "model/models/model.json"
        with zipfile.ZipFile(path) as archive:
            parts = {part: archive.read(part) for part in archive.namelist()}
        parts[name] = edit(parts[name].decode(), command(folder)).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)

    return apply


def guard(text: str, run: str) -> str:
    return json.dumps({**json.loads(text), "guards_code": [f"{run} is None"]})


def expression(text: str, run: str) -> str:
    content = json.loads(text)
    [size] = [part for part in _parts(content) if set(part) >= {"expr_str", "hint"}][:1]
    size["expr_str"] = run
    return json.dumps(content)


def input_name(text: str, run: str) -> str:
    name = json.dumps(f"input=({run})")
    text = text.replace('{"as_tensor": {"name": "input"}}', f'{{"as_tensor": {{"name": {name}}}}}')
    return text.replace('"input": {"dtype"', f'{name}: {{"dtype"')


def module_of_pickle(folder: Path) -> None:
    """The old form of ``mlflow.pytorch``: what unpickles it is a module that a file names."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "innocent.py").write_text(command(folder))
    shutil.rmtree(folder / "network")
    (folder / "data" / "model.pt2").unlink()
    (folder / "data" / "model.pth").write_bytes(b"")
    (folder / "data" / "pickle_module_info.txt").write_text("innocent")
    described(folder, lambda flavors: flavors["pytorch"].update(code="code"))


def code_of_its_own(folder: Path) -> None:
    """Whoever imports ``kmnist_model`` from it runs what it says."""
    (folder / "code" / "kmnist_model" / "__init__.py").write_text(command(folder))


def another_loader(folder: Path) -> None:
    (folder / "code" / "innocent.py").write_text(command(folder))
    described(folder, lambda flavors: flavors["python_function"].update(loader_module="innocent"))


def described(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    content = yaml.safe_load((folder / "MLmodel").read_text())
    edit(content["flavors"])
    (folder / "MLmodel").write_text(yaml.safe_dump(content))


def object_in_yaml(folder: Path) -> None:
    argument = json.dumps(command(folder))
    (folder / "MLmodel").write_text(f"flavors: !!python/object/apply:builtins.eval [{argument}]\n")


def bomb_in_yaml(folder: Path) -> None:
    lines = ["a0: &a0 [" + ", ".join(["x"] * 9) + "]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 12)]
    (folder / "MLmodel").write_text("\n".join(lines))


class Runs:
    def __init__(self, run: str) -> None:
        self._run = run

    def __reduce__(self) -> Any:
        return eval, (self._run,)


def pickled_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(Runs(command(folder))))


def torch_weights(folder: Path) -> None:
    torch.save({"network.fc1.weight": Runs(command(folder))}, folder / WEIGHTS)


def weights(edit: Callable[[dict[str, torch.Tensor]], object]) -> Edit:
    def apply(folder: Path) -> None:
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
        edit(tensors)
        save_file(tensors, folder / WEIGHTS)

    return apply


def cut(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def written(name: str, content: bytes) -> Edit:
    return lambda folder: (folder / name).write_bytes(content)


def settings(**changed: Any) -> Edit:
    def apply(folder: Path) -> None:
        content = json.loads((folder / SETTINGS).read_text())
        content["settings"].update(changed)
        (folder / SETTINGS).write_text(json.dumps(content))

    return apply


def link_to(name: str) -> Edit:
    """A link to a file outside that would even be a good one."""

    def apply(folder: Path) -> None:
        outside = folder.parent / "outside"
        shutil.move(folder / name, outside)
        (folder / name).symlink_to(outside)

    return apply


def pipe(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


def sparse(folder: Path) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(5 * 1024**3)


def nothing_of_ours(folder: Path) -> None:
    shutil.rmtree(folder / "network")


#: Those that run a command when MLflow's own tools load them and predict. The network beside is intact.
RUNNING: dict[str, Edit] = {
    "guard in the graph": graph(guard),
    "expression in the graph": graph(expression),
    "name of an input in the graph": graph(input_name),
    "code of its own": code_of_its_own,
    "another loader": another_loader,
}
#: Those that are refused, with what is said.
REFUSED: dict[str, tuple[Edit, str]] = {
    "module that unpickles": (module_of_pickle, "it has no file network/settings.json: it was not saved by this"),
    "pickle as weights": (pickled_weights, "network/weights.safetensors is damaged"),
    "torch.save as weights": (torch_weights, "network/weights.safetensors is damaged"),
    "cut weights": (cut, "network/weights.safetensors is damaged"),
    "empty weights": (written(WEIGHTS, b""), "network/weights.safetensors is damaged"),
    "endless header": (written(WEIGHTS, b"\xff" * 7 + b"\x7f{}"), "network/weights.safetensors is damaged"),
    "deep header": (
        written(WEIGHTS, (100_000).to_bytes(8, "little") + b"[" * 100_000),
        "network/weights.safetensors is damaged",
    ),
    "another shape": (
        weights(lambda tensors: tensors.update({"network.fc1.weight": torch.zeros(784, 8)})),
        "fc1.weight: (784, 8) in the file, (8, 784) by its settings",
    ),
    "another type": (
        weights(lambda tensors: tensors.update({"network.fc1.bias": torch.zeros(8, dtype=torch.int64)})),
        "fc1.bias: torch.int64 in the file, torch.float32 by its settings",
    ),
    "one tensor more": (weights(lambda tensors: tensors.update(more=torch.zeros(1))), "more: (1,) in the file"),
    "one tensor less": (weights(lambda tensors: tensors.pop("network.fc1.bias")), "fc1.bias: nothing in the file"),
    "larger than memory": (settings(hidden="65536,65536,65536,65536"), "by its settings"),
    "unknown architecture": (settings(arch="__import__"), "unknown arch '__import__'"),
    "a wide layer": (settings(hidden="99999999999"), "hidden=99999999999: must be less than or equal to 65536"),
    "a layer of text": (settings(hidden="print()"), "hidden=print(): must be a valid integer"),
    "not a number": (settings(arch="dropout", dropout=float("nan")), "dropout=nan: must be a finite number"),
    "an unknown setting": (settings(loader="evil"), "unknown setting 'loader'"),
    "deep settings": (written(SETTINGS, b"[" * 16_000), "network/settings.json is damaged"),
    "a long number": (written(SETTINGS, b"9" * 15_000), "network/settings.json is damaged"),
    "large settings": (written(SETTINGS, b" " * 70_000), "network/settings.json has 70,000 bytes: at most 65,536"),
    "settings of no text": (written(SETTINGS, b"\xff\xfe\x00"), "network/settings.json is damaged"),
    "settings of no form": (written(SETTINGS, b"null"), 'must be {"format": ..., "settings": {...}}'),
    "settings of tomorrow": (
        written(SETTINGS, b'{"format": 9, "settings": {}}'),
        "format 9: this version of kmnist reads format 2",
    ),
    "a pipe": (pipe, ""),
    "nothing of ours": (nothing_of_ours, "it has no file network/settings.json: it was not saved by this version"),
}  # fmt: skip
#: Those that are refused where they lie: a copy of them has no links any more, or would take gigabytes.
REFUSED_IN_PLACE: dict[str, tuple[Edit, str]] = {
    "five gigabytes": (sparse, "network/weights.safetensors has 5,368,709,120 bytes: at most"),
    "weights elsewhere": (link_to(WEIGHTS), "network/weights.safetensors is a link"),
    "settings elsewhere": (link_to(SETTINGS), "network/settings.json is a link"),
    "both elsewhere": (link_to("network"), "network/settings.json is a link"),
}
#: Those whose harm is in what is not even read.
UNREAD: dict[str, Edit] = {"object in YAML": object_in_yaml, "bomb in YAML": bomb_in_yaml}


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, dict):
        return [content, *(part for value in content.values() for part in _parts(value))]
    return [part for value in content for part in _parts(value)] if isinstance(content, list) else []
