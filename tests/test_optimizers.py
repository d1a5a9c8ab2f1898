import pytest
import torch
from torch import nn

from kmnist.config import TrainConfig
from kmnist.optimizers import build_optimizer, build_schedule


def rates(schedule: str) -> list[float]:
    """The learning rate of each of 8 steps."""
    config = TrainConfig.parse({"schedule": schedule, "learning_rate": 0.1, "epochs": 4, "optimizer": "sgd"})
    optimizer = build_optimizer([nn.Parameter(torch.zeros(1))], config)
    scheduler = build_schedule(optimizer, config, steps_per_epoch=2)
    found = []
    for _ in range(8):
        found.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    return found


def test_schedules() -> None:
    assert rates("constant") == [0.1] * 8
    assert rates("step") == pytest.approx([0.1] * 4 + [0.01] * 2 + [0.001] * 2)
    cosine, onecycle = rates("cosine"), rates("onecycle")
    assert cosine[0] == 0.1
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[-1] < 0.01
    assert max(onecycle) <= 0.1
    assert onecycle.index(max(onecycle)) in (2, 3)
    assert onecycle[-1] < onecycle[0]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_each_optimizer_lowers_a_parabola(name: str) -> None:
    config = TrainConfig.parse({"optimizer": name, "learning_rate": 0.05, "weight_decay": 0.001})
    point = nn.Parameter(torch.tensor([1.0]))
    optimizer = build_optimizer([point], config)
    for _ in range(50):
        optimizer.zero_grad()
        (point**2).sum().backward()
        optimizer.step()
    assert abs(point.item()) < 0.5
