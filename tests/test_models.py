import subprocess
import sys

import pytest
import torch
from torch import nn

from kmnist.config import TrainConfig
from kmnist.data import DataSpec
from kmnist.data.kmnist import SPEC
from kmnist.data.spec import labels
from kmnist.models.build import build
from kmnist.models.families import FAMILIES, NetSettings
from kmnist.models.normalise import normalisation
from tests.nets import network


def linear_shapes(model: nn.Module) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)]


def dropouts(model: nn.Module) -> list[float]:
    return [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)]


REPORT_LAYERS = [(784, 512), (512, 256), (256, 128), (128, 64), (64, 10)]


@pytest.mark.parametrize(
    ("settings", "layers", "probabilities"),
    [
        ({"arch": "plain"}, REPORT_LAYERS, []),
        ({"arch": "dropout"}, REPORT_LAYERS, [0.5] * 4),
        (
            {"arch": "dropout", "hidden": "512,256,128", "dropout": 0.2},
            [(784, 512), (512, 256), (256, 128), (128, 10)],
            [0.2] * 3,
        ),
    ],
)
def test_the_reports_architectures(
    settings: dict[str, object], layers: list[tuple[int, int]], probabilities: list[float]
) -> None:
    model = network(TrainConfig.parse(settings))
    assert linear_shapes(model) == layers
    assert dropouts(model) == probabilities


# The contract of a family of networks.


@pytest.mark.parametrize("arch", FAMILIES)
@pytest.mark.parametrize("spec", [SPEC, DataSpec("wide", "wide", labels("abc"), (20, 30))], ids=["kmnist", "wide"])
def test_raw_pixels_in_log_probabilities_out(arch: str, spec: DataSpec) -> None:
    model = network(TrainConfig.parse({"arch": arch}), spec).eval()
    pixels = torch.randint(0, 256, (3, *spec.shape), dtype=torch.uint8)
    output = model(pixels)
    assert output.shape == (3, len(spec.classes))
    assert torch.allclose(output.exp().sum(dim=1), torch.ones(3))
    assert torch.equal(output, model(pixels.float()))  # any dtype


@pytest.mark.parametrize("arch", FAMILIES)
def test_every_weight_gets_a_gradient(arch: str) -> None:
    model = network(TrainConfig.parse({"arch": arch}))
    model(torch.randint(0, 256, (32, 28, 28))).square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize("arch", FAMILIES)
def test_its_settings_know_no_torch_and_say_what_they_are(arch: str) -> None:
    family = FAMILIES[arch]
    assert issubclass(family.settings, NetSettings)
    assert family.settings(arch=arch).arch == arch
    assert all(field.description for field in family.settings.model_fields.values())


def test_the_settings_of_all_families_are_read_without_torch() -> None:
    code = "import sys, kmnist.config, kmnist.cli.options; assert not {'torch', 'mlflow', 'optuna'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pixels_are_normalised_inside() -> None:
    pixels = torch.tensor([[[0.0, 255.0]]])
    assert normalisation("standard", 0.25, 0.5)(pixels).flatten().tolist() == pytest.approx([-0.5, 1.5])
    assert normalisation("unit")(pixels).flatten().tolist() == pytest.approx([0.0, 1.0])
    network = build(TrainConfig.parse({}).net, SPEC, normalise=normalisation("each"))
    darker = torch.randint(0, 100, (4, 28, 28))
    assert torch.allclose(network[0](2 * darker), network[0](darker), atol=0.05)  # type: ignore[index]
    assert not normalisation("each")(torch.full((1, 28, 28), 7)).any()


def test_the_seed_decides_the_weights_and_nothing_else_is_touched() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, again, other = (network(TrainConfig.parse({"seed": seed})) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    weights = [model.get_parameter("network.fc1.weight") for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
