"""Where and how is computed."""

import platform
import resource
import time

import pytest
import torch

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.experiment.train import resolve_compute
from kmnist.training import compute
from kmnist.training.compute import Compute, measure_threads, trial_step
from tests.nets import network


def taking(seconds: dict[int, float]) -> object:
    """A step that takes as long as it is said for the number of threads."""
    return lambda: time.sleep(seconds[torch.get_num_threads()])


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({1: 0.02, 2: 0.01, 4: 0.0055}, 4),
        ({1: 0.02, 2: 0.01, 4: 0.01}, 2),
        ({1: 0.02, 2: 0.0195, 4: 0.0005}, 1),  # a tie goes to fewer
        ({1: 0.01, 2: 0.04, 4: 0.04}, 1),  # threads that wait for each other
    ],
)
def test_the_fewest_threads_that_are_about_as_fast_as_any(seconds: dict[int, float], expected: int) -> None:
    assert measure_threads(taking(seconds), most=4) == expected  # type: ignore[arg-type]
    assert torch.get_num_threads() == 1  # as in all tests


@pytest.mark.parametrize(("told", "expected"), [("1", 1), ("2,1", 2), ("64", 4), ("many", 4), ("0", 4), (None, 4)])
def test_no_more_threads_than_openmp_was_told(told: str | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "available_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert measure_threads(taking({1: 0.02, 2: 0.01, 4: 0.0055})) == expected  # type: ignore[arg-type]


def test_every_number_of_threads_that_is_tried() -> None:
    assert [compute._candidates(most) for most in (1, 2, 3, 8)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8]]


def test_a_trial_step_changes_no_weight_and_no_random_number() -> None:
    config = TrainConfig.parse({"arch": "dropout", "hidden": "8"})
    model = network(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    step = trial_step(model, torch.zeros(4, 28, 28), torch.zeros(4, dtype=torch.int64), bf16=True)
    for _ in range(3):
        step()
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_is_said_is_not_measured(drawn: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig.parse({"precision": "bf16", "hidden": "8"})
    model = network(config)
    monkeypatch.setattr(compute, "available_cores", lambda: 1)
    assert resolve_compute(config, model, drawn.train, "cpu", 2) == Compute("cpu", "bf16", 2)
    assert resolve_compute(config, model, drawn.train, "cpu", None) == Compute("cpu", "bf16", 1)


def test_threads_and_denormals_hold_within_the_block_only() -> None:
    tiny = torch.tensor([1e-41])
    with Compute(threads=2).active():
        assert torch.get_num_threads() == 2
        assert (tiny * 1.0).item() == 0
    assert torch.get_num_threads() == 1
    assert (tiny * 1.0).item() > 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_a_step_takes_the_memory_that_the_last_one_freed() -> None:
    def step() -> None:
        kept = [torch.ones(5_000_000) for _ in range(8)]  # 20 MB each
        del kept

    with Compute("cpu", "fp32", 1).active():
        step()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            step()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 100_000  # 39,000 for each step whose memory is asked for anew: 195,000
