"""Facts about the machine: load between two epochs, and what the numbers of a run depend on besides its settings."""

import logging
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version

import torch
from mlflow.system_metrics.metrics import gpu_monitor
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from kmnist.tracking import code


class SystemMetrics:
    """MLflow's own collectors, read by the run itself.

    MLflow's monitor thread would write past the journal, and so lose its points with the server.

    No machine is required to have what they read. NVML does not start on WSL, on a Jetson or with an AMD card, a MIG
    slice reports no utilisation, and a sandbox may hide its network. What cannot be read is left out.
    """

    def __init__(self) -> None:
        started = [_start(make) for make in (CPUMonitor, DiskMonitor, NetworkMonitor)]
        if torch.cuda.is_available():
            # It would warn of every value that a card does not report, once an epoch.
            logging.getLogger(gpu_monitor.__name__).setLevel(logging.ERROR)
            started.append(_start(GPUMonitor) or _start(ROCMMonitor))
        self._monitors = [monitor for monitor in started if monitor is not None]

    def sample(self) -> dict[str, float]:
        """Load since the last call, under the names that the UI's page of system metrics looks for."""
        metrics: dict[str, float] = {}
        for monitor in self._monitors:
            with suppress(Exception):
                monitor.collect_metrics()
                metrics.update({f"system/{name}": value for name, value in monitor.aggregate_metrics().items()})
            monitor.clear_metrics()
        return metrics


def _start(make: Callable[[], BaseMetricsMonitor]) -> BaseMetricsMonitor | None:
    """A monitor; ``None`` where it cannot work: it raises ImportError, RuntimeError or an error of its library."""
    with suppress(Exception):
        return make()
    return None


def environment_tags() -> dict[str, str]:
    """Versions, processor, and the commit of this code with whether it was changed since."""
    tags = {f"version.{name}": version(name) for name in ("kmnist", "torch", "mlflow", "numpy")}
    tags["version.python"] = platform.python_version()
    tags["processor"] = _processor()
    tags["threads"] = str(torch.get_num_threads())
    own = code.commit()
    if commit := own or os.environ.get("KMNIST_COMMIT"):  # an image has no repository, and says of which one it is
        tags["git.commit"] = tags[MLFLOW_GIT_COMMIT] = commit
    if own:
        tags["git.dirty"] = str(code.is_changed()).lower()
    return tags


def _processor() -> str:
    """The name of the GPU, or the instructions of the CPU. A GPU may be listed and yet be lost, or held by others."""
    if torch.cuda.is_available():
        with suppress(RuntimeError, AssertionError):
            return torch.cuda.get_device_name()
    return torch.backends.cpu.get_cpu_capability()
