"""A model as ONNX, answered for by onnxruntime; and as an ordinary network."""

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

import kmnist
from kmnist import extras
from kmnist.calibration import Calibration
from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.data.spec import DataSpec
from kmnist.errors import MissingExtra, ModelError
from kmnist.inference import Classifier, Predictions
from kmnist.network import SavedNetwork, save_network
from kmnist.registry.export import export_onnx
from tests.commands import Command
from tests.nets import network

CALIBRATION = Calibration(1.7, 0.4, (0.05, 0.3))


def saved(arch: str, calibration: Calibration = CALIBRATION) -> SavedNetwork:
    config = TrainConfig.parse({"arch": arch})
    return SavedNetwork(network(config).eval(), config, SPEC, calibration)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def pixels_of(count: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28)).astype(np.float32)


def predictions(model: SavedNetwork, pixels: npt.NDArray[np.float32]) -> Predictions:
    """What ``kmnist predict`` says."""
    return Classifier(model.network, model.spec, "a model", model.calibration).predict(pixels)


LARGE = [pytest.param(arch, marks=pytest.mark.long) for arch in ("resnet", "resnet18", "mobilenet_v3_small")]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["plain", "dropout", "cnn", "mixer", *LARGE])
def test_onnxruntime_answers_as_predict_does_at_any_number_of_pictures(arch: str, tmp_path: Path) -> None:
    """With the temperature: without it, probabilities differ by up to 0.66."""
    exported = saved(arch)
    export_onnx(exported, tmp_path / "model.onnx")
    session = session_of(tmp_path / "model.onnx")
    pixels = pixels_of(7)
    for count in (1, 7):
        [found] = session.run(["log_probabilities"], {"pixels": pixels[:count]})
        expected = predictions(exported, pixels[:count])
        assert np.array_equal(found.argmax(axis=1), expected.classes)
        assert np.allclose(np.exp(found), expected.probabilities, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_all_that_makes_an_answer_is_in_the_metadata(tmp_path: Path) -> None:
    exported = saved("plain")
    export_onnx(exported, tmp_path / "model.onnx")
    session = session_of(tmp_path / "model.onnx")
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert DataSpec.from_json(about["data"]) == SPEC
    assert about["classes"][1] == {"text": "ki", "glyph": "き"}
    assert about["temperature"] == 1.7
    assert about["preparation"]["form"] == "light ink on dark that fills the frame, as in KMNIST"
    assert (about["preparation"]["height"], about["preparation"]["width"]) == (28, 28)
    # Its calibration is applied to the file's output, which changes nothing more, and says what is unsure.
    calibration, pixels = Calibration.from_json(about["calibration"]), pixels_of(50)
    pixels[:20] = np.random.default_rng(0).random((20, 28, 28)).round() * 255  # of no grey, as no letter is
    [found] = session.run(["log_probabilities"], {"pixels": pixels})
    assert np.array_equal(calibration.apply(found), found)
    expected = predictions(exported, pixels)
    assert np.array_equal(calibration.unsure(pixels, found), expected.unsure)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["plain", "cnn"])
def test_opencv_answers_as_predict_does(arch: str, tmp_path: Path) -> None:
    exported = saved(arch)
    export_onnx(exported, tmp_path / "one.onnx", batch=1)
    assert session_of(tmp_path / "one.onnx").get_inputs()[0].shape == [1, 28, 28]
    net = cv2.dnn.readNetFromONNX(str(tmp_path / "one.onnx"))
    for pixels in pixels_of(3):
        net.setInput(pixels[None], "pixels")
        found = net.forward("log_probabilities")
        expected = predictions(exported, pixels[None])
        assert np.allclose(np.exp(found), expected.probabilities, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_version_of_the_operators_is_the_one_asked_for_or_an_error(tmp_path: Path) -> None:
    """PyTorch goes on with another version where it cannot convert, and says so in a log only."""
    path = tmp_path / "model.onnx"
    export_onnx(saved("plain"), path, opset=17)
    assert [used.version for used in onnx.load(path).opset_import if not used.domain] == [17]
    path.unlink()
    with pytest.raises(ModelError, match="--opset 17: this network's operators need 18 or more"):
        export_onnx(saved("mixer"), path, opset=17)
    assert not path.exists()


class Wrong(torch.nn.Module):
    """What an exporter sees of it is not what it answers."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        shift = 3.0 if torch.compiler.is_exporting() else 0.0
        return torch.log_softmax(pixels.flatten(1)[:, :10] + shift * torch.arange(10), dim=1)


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_not_written(tmp_path: Path) -> None:
    wrong = SavedNetwork(Wrong().eval(), TrainConfig.parse({}), SPEC)
    with pytest.raises(ModelError, match="the file answers otherwise than the network"):
        export_onnx(wrong, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


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
    assert "temperature 1.7" in done.stdout
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
