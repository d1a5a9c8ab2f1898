"""How weights follow from gradients, held against torch's own."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler

from kmnist.training.optimisation import Optimisation
from kmnist.training.optimizers import muon
from kmnist.training.settings import OPTIMIZERS, SCHEDULES, OptimisationSettings

STEPS = 400


def trained(model: nn.Module, optimisation: Optimisation, steps: int) -> None:
    for step in range(steps):
        torch.manual_seed(step)
        optimisation.step(model(torch.rand(8, 3)).square().mean())


def build(**settings: object) -> tuple[nn.Module, Optimisation]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    return model, Optimisation(model, OptimisationSettings.parse(settings), STEPS)


def rates(schedule: str) -> list[float]:
    model, optimisation = build(schedule=schedule, learning_rate=0.1)
    found = []
    for _ in range(STEPS):
        found.append(optimisation.learning_rate)
        trained(model, optimisation, 1)
    return found


def torchs(schedule: str) -> list[float]:
    optimizer = optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    schedulers: dict[str, Callable[[], lr_scheduler.LRScheduler]] = {
        "constant": lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS),
        "onecycle": lambda: lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=STEPS, cycle_momentum=False),
        "plateau": lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0),  # no epoch has ended
        "step": lambda: lr_scheduler.MultiStepLR(optimizer, milestones=[STEPS // 2, STEPS * 3 // 4]),
    }
    scheduler = schedulers[schedule]()
    found = []
    for _ in range(STEPS):
        found.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_is_torchs(schedule: str) -> None:
    """But for a step: torch counts the steps between the first and the last one, we the share that is done."""
    ours, theirs = rates(schedule), torchs(schedule)
    assert ours == pytest.approx(theirs, abs=0.1 * 3 / STEPS * 4)
    assert max(ours) <= 0.1
    assert schedule in ("constant", "plateau") or ours[-1] < ours[0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_has_no_jump_but_that_of_step(schedule: str) -> None:
    jumps = [abs(after - before) for before, after in pairwise(rates(schedule))]
    assert schedule == "step" or max(jumps) < 0.1 * 8 / STEPS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_lowers_a_loss(name: str) -> None:
    model, optimisation = build(optimizer=name, learning_rate=0.01, weight_decay=0.001)
    inputs = torch.rand(64, 3)
    before = model(inputs).square().mean().item()
    trained(model, optimisation, 200)
    assert model(inputs).square().mean().item() < before / 2


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_that_is_loaded_goes_on_bit_for_bit(name: str) -> None:
    settings = {"optimizer": name, "schedule": "cosine", "weight_decay": 0.01}
    model, optimisation = build(**settings)
    trained(model, optimisation, 5)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    state = {key: value.clone() for key, value in optimisation.state_dict().items()}
    trained(model, optimisation, 5)

    twin, resumed = build(**settings)
    twin.load_state_dict(weights)
    resumed.load_state_dict(state)
    trained(twin, resumed, 5)
    assert resumed.learning_rate == optimisation.learning_rate
    assert equal(twin.state_dict(), model.state_dict())
    assert equal(resumed.state_dict(), optimisation.state_dict())


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_muon_is_torchs_of_kernels_seen_as_matrices(
    precision: str, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit in bf16, in which torch's always multiplies; where the processor has none of it, about the same."""
    monkeypatch.setattr(muon, "resolve_precision", lambda precision_, device: precision)
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    kernel = nn.Parameter(torch.randn(6, 4, 3, 3).to(memory_format=layout))
    tall = nn.Parameter(torch.randn(7, 5))
    twins = [nn.Parameter(muon.as_matrix(weight.data).clone()) for weight in (kernel, tall)]
    ours = muon.Muon([kernel, tall], 0.01, 0.1)
    theirs = optim.Muon(twins, 0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        for weight, twin in zip((kernel, tall), twins):
            weight.grad = torch.randn_like(weight)
            twin.grad = muon.as_matrix(weight.grad, like=weight).clone()
        ours.step()
        theirs.step()
    for weight, twin in zip((kernel, tall), twins):
        difference = (muon.as_matrix(weight.data) - twin).abs().max().item()
        assert difference < (0.002 if precision == "fp32" else 1e-12)


def test_muon_is_made_orthogonal_in_the_precision_of_its_matrix() -> None:
    torch.manual_seed(0)
    made = muon.orthogonal(torch.randn(5, 9))
    assert made.dtype == torch.float32
    values = torch.linalg.svdvals(made)
    assert 0.6 < values.min().item() < values.max().item() < 1.3


def test_the_state_is_flat_and_named_by_the_weights() -> None:
    model, optimisation = build(optimizer="adam")
    trained(model, optimisation, 1)
    assert {name.rpartition("/")[2] for name in optimisation.state_dict()} == {"done", *model.state_dict()}
    with pytest.raises(ValueError, match="fc9"):
        build()[1].load_state_dict({"done": torch.tensor(1), "0/exp_avg/fc9": torch.zeros(1)})


def test_the_weights_to_evaluate_are_the_models() -> None:
    model, optimisation = build()
    assert equal(dict(optimisation.weights_to_evaluate()), model.state_dict())


def equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
