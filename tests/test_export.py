"""A model as ONNX, answered for by onnxruntime; and as an ordinary network."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import kmnist
from kmnist import extras
from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.data.spec import DataSpec
from kmnist.errors import MissingExtra
from kmnist.network import SavedNetwork, save_network
from kmnist.registry.export import export_onnx
from tests.commands import Command
from tests.nets import network


def saved(arch: str) -> SavedNetwork:
    config = TrainConfig.parse({"arch": arch})
    return SavedNetwork(network(config).eval(), config, SPEC)


LARGE = [pytest.param(arch, marks=pytest.mark.long) for arch in ("resnet", "resnet18", "mobilenet_v3_small")]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["plain", "dropout", "cnn", "mixer", *LARGE])
def test_onnxruntime_answers_as_the_network_does_at_any_number_of_pictures(arch: str, tmp_path: Path) -> None:
    exported = saved(arch)
    export_onnx(exported, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert DataSpec.from_json(json.loads(session.get_modelmeta().custom_metadata_map["data"])) == SPEC
    pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28)).astype(np.float32)
    for count in (1, 7):
        [found] = session.run(["log_probabilities"], {"pixels": pixels[:count]})
        with torch.no_grad():
            expected = exported.network(torch.from_numpy(pixels[:count])).numpy()
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_command_writes_a_file_that_runs(kmnist_command: Command, tmp_path: Path) -> None:
    model = saved("plain")
    (tmp_path / "model").mkdir()
    save_network(model, tmp_path / "model")
    (tmp_path / "model" / "MLmodel").touch()
    done = kmnist_command("export", "out.onnx", "--model", str(tmp_path / "model"))
    assert done.returncode == 0, done.stderr
    assert "out.onnx" in done.stdout
    assert onnxruntime.InferenceSession(tmp_path / "out.onnx").get_inputs()[0].shape == ["pictures", 28, 28]
    done = kmnist_command("export", "no/such/folder/out.onnx", "--model", str(tmp_path / "model"))
    assert (done.returncode, "cannot be written" in done.stderr) == (1, True)


def test_without_the_packages_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "missing_of", lambda extra: ("onnxscript",))
    with pytest.raises(MissingExtra, match=r"pip install 'kmnist\[onnx\]'"):
        export_onnx(saved("plain"), tmp_path / "model.onnx")


def test_a_loaded_network_can_be_trained_on(tmp_path: Path) -> None:
    model = saved("dropout")
    save_network(model, tmp_path)
    (tmp_path / "MLmodel").touch()
    loaded = kmnist.load_network(str(tmp_path)).train()
    pixels = torch.randint(0, 256, (8, 28, 28)).float()
    assert not torch.equal(loaded(pixels), loaded(pixels))  # dropout is on
    torch.nn.functional.nll_loss(loaded(pixels), torch.zeros(8, dtype=torch.int64)).backward()
    assert all(weight.grad is not None for weight in loaded.parameters())
    assert torch.equal(loaded.eval()(pixels), loaded(pixels))
