"""The load of the machine is read where it can be, and never stands in the way of a training."""

import sys

import psutil
import pynvml
import pytest
import torch

from kmnist.tracking import SystemMetrics
from kmnist.tracking.system import environment_tags
from tests.commands import Command


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA seems to be there. NVML does not start, as on WSL: there is no driver."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def busy() -> str:
        raise torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable")

    monkeypatch.setattr(torch.cuda, "get_device_name", busy)


@pytest.fixture
def card(cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card answers to NVML, but for its utilisation: so does a slice of a card that is divided by MIG."""

    def not_supported(handle: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    memory = pynvml.c_nvmlMemory_t(total=4_000_000_000, free=3_000_000_000, used=1_000_000_000)
    for name, answer in {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetMemoryInfo": lambda handle: memory,
        "nvmlDeviceGetUtilizationRates": not_supported,
        "nvmlDeviceGetPowerUsage": lambda handle: 70_000,
        "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 700_000,
    }.items():
        monkeypatch.setattr(pynvml, name, answer)


def is_there(metrics: dict[str, float], kind: str) -> bool:
    return any(name.startswith(f"system/{kind}") for name in metrics)


def test_without_nvml_the_rest_is_measured(cuda: None) -> None:
    metrics = SystemMetrics().sample()
    assert is_there(metrics, "cpu")
    assert is_there(metrics, "network")
    assert not is_there(metrics, "gpu")


def test_without_the_package_for_nvml_the_rest_is_measured(cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pynvml")
    assert is_there(SystemMetrics().sample(), "cpu")


def test_a_card_that_is_lost_after_nvml_has_started_is_left_out(card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(number: int) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lost)
    assert is_there(SystemMetrics().sample(), "cpu")


def test_what_a_card_does_not_report_is_left_out_in_silence(card: None, caplog: pytest.LogCaptureFixture) -> None:
    measured = SystemMetrics()
    for _ in range(2):
        metrics = measured.sample()
        assert metrics["system/gpu_0_memory_usage_percentage"] == 25.0
        assert metrics["system/gpu_0_power_usage_percentage"] == 10.0
        assert "system/gpu_0_utilization_percentage" not in metrics
    assert not caplog.records


def test_a_machine_that_hides_its_network_and_disk_is_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)  # as psutil answers where there is no interface
    monkeypatch.setattr(psutil, "disk_usage", denied)
    metrics = SystemMetrics().sample()
    assert is_there(metrics, "cpu")
    assert not is_there(metrics, "network")
    assert not is_there(metrics, "disk")


def test_a_card_that_cannot_be_used_does_not_name_the_processor(cuda: None) -> None:
    assert environment_tags()["processor"] == torch.backends.cpu.get_cpu_capability()


@pytest.mark.slow
def test_a_training_on_the_cpu_needs_nothing_of_a_card(cuda: None, kmnist_command: Command) -> None:
    done = kmnist_command("train", "--dataset", "sample", "--hidden", "8", "--epochs", "1", "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
