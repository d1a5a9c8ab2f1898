import pytest
import torch
from torch import nn

from kmnist.config import TrainConfig
from kmnist.models import BUILDERS, build


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
    model = build(TrainConfig.parse(settings), 0.19, 0.35)
    assert linear_shapes(model) == layers
    assert dropouts(model) == probabilities


@pytest.mark.parametrize("arch", BUILDERS)
def test_raw_pixels_in_log_probabilities_out(arch: str) -> None:
    model = build(TrainConfig.parse({"arch": arch}), 0.19, 0.35).eval()
    pixels = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    output = model(pixels)
    assert output.shape == (3, 10)
    assert torch.allclose(output.exp().sum(dim=1), torch.ones(3))
    assert torch.equal(output, model(pixels.float()))  # any dtype


def test_every_architecture_has_a_builder() -> None:
    assert set(BUILDERS) == set(TrainConfig.model_fields["arch"].annotation.__args__)  # type: ignore[union-attr]


def test_pixels_are_normalised_inside() -> None:
    pixels = torch.tensor([[[0.0, 255.0]]])
    standard = build(TrainConfig.parse({}), 0.25, 0.5).get_submodule("normalise")
    unit = build(TrainConfig.parse({"normalise": "unit"}), 0.25, 0.5).get_submodule("normalise")
    assert standard(pixels).flatten().tolist() == pytest.approx([-0.5, 1.5])
    assert unit(pixels).flatten().tolist() == pytest.approx([0.0, 1.0])


def test_the_seed_decides_the_weights_and_nothing_else_is_touched() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, again, other = (build(TrainConfig.parse({"seed": seed}), 0.2, 0.3) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    weights = [model.get_parameter("fc1.weight") for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
