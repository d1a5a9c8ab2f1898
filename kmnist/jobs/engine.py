"""``Engine``: what carries a command's workers, and which device and threads each of them gets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from kmnist.errors import SettingError

if TYPE_CHECKING:
    from kmnist.jobs.executor import Executor  # which knows Optuna: the command's help needs none

AUTO: Literal["auto"] = "auto"
Kind: TypeAlias = Literal["local", "ray"]


@dataclass(frozen=True)
class Seat:
    """What one worker computes with.

    Attributes:
        device: its own, where the machine has one for each.
        threads: of the CPU; ``None``: as many as are found to be fastest.
    """

    device: str
    threads: int | None


@dataclass(frozen=True)
class Engine:
    """How a command's workers are started.

    Attributes:
        kind: processes of this machine, or tasks of a Ray cluster.
        workers: at once; ``auto``: one for each device, or for each core where there is no GPU.
        devices: that they get in turn; none given: every GPU of the machine, else the CPU.
        threads: that each computes with; ``None``: one, and with one worker as many as are found to be fastest.
        address: of the cluster; ``None``: one on this machine, for this command.
        cpus: cores that each worker takes of the cluster.
        gpus: GPUs, or a share of one, that each worker takes of the cluster.
    """

    kind: Kind = "local"
    workers: int | Literal["auto"] = 1
    devices: tuple[str, ...] = ()
    threads: int | None = None
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def open(self) -> "Executor":
        """What starts the workers.

        Raises:
            SettingError: an option is not of this engine, a device does not exist, or a package is missing.
            StudyError: no cluster answers.
        """
        from kmnist.cores import available_cores

        if self.kind == "ray":
            from kmnist.jobs.ray import RayExecutor

            cores = available_cores() if self.workers == AUTO else self.workers * self.cpus
            return RayExecutor(self.address, self.cpus, self.gpus, cores)
        others = {"ray_address": self.address is not None, "num_cpus": self.cpus != 1, "num_gpus": self.gpus != 0}
        if given := [name for name, was in others.items() if was]:
            raise SettingError(f"{', '.join(given)}: of no use to engine=local; add --engine ray, or leave it away")
        from kmnist.jobs.local import LocalExecutor

        devices = self._devices()
        return LocalExecutor(available_cores() if devices == ["cpu"] else len(devices))

    def seats(self, executor: "Executor") -> list[Seat]:
        """One for each worker."""
        devices = self._devices()
        workers = executor.room() if self.workers == AUTO else self.workers
        threads = 1 if self.threads is None and workers > 1 else self.threads
        return [Seat(devices[place % len(devices)], threads) for place in range(workers)]

    def _devices(self) -> list[str]:
        if self.kind == "ray":  # a node gives each worker its share of the GPUs, which it finds as its first
            return list(self.devices or ["cuda" if self.gpus else "cpu"])
        from kmnist.training.compute import resolve_device, resolve_devices

        return [str(resolve_device(name)) for name in self.devices] or resolve_devices()
