"""Facts about the machine: load between two epochs, and what the numbers of a run depend on besides its settings."""

import os
import platform
from importlib.metadata import version

import torch
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from kmnist.tracking import code


class SystemMetrics:
    """MLflow's own collectors, read by the run itself.

    MLflow's monitor thread would write past the journal, and so lose its points with the server.
    """

    def __init__(self) -> None:
        self._monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        if torch.cuda.is_available():
            self._monitors.append(GPUMonitor())

    def sample(self) -> dict[str, float]:
        """Load since the last call, under the names that the UI's page of system metrics looks for."""
        metrics: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            metrics.update({f"system/{name}": value for name, value in monitor.aggregate_metrics().items()})
            monitor.clear_metrics()
        return metrics


def environment_tags() -> dict[str, str]:
    """Versions, processor, and the commit of this code with whether it was changed since."""
    tags = {f"version.{name}": version(name) for name in ("kmnist", "torch", "mlflow", "numpy")}
    tags["version.python"] = platform.python_version()
    tags["processor"] = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    )
    tags["threads"] = str(torch.get_num_threads())
    own = code.commit()
    if commit := own or os.environ.get("KMNIST_COMMIT"):  # an image has no repository, and says of which one it is
        tags["git.commit"] = tags[MLFLOW_GIT_COMMIT] = commit
    if own:
        tags["git.dirty"] = str(code.is_changed()).lower()
    return tags
