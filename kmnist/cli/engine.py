"""The options of what carries workers, shared by the commands that have some."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from kmnist.cli.options import Device
from kmnist.errors import SettingError
from kmnist.jobs.engine import AUTO, Engine, Kind

GROUP = Group("Workers", help="Who works where; nothing of it decides the numbers.")


def _count_or_auto(kind: Any, value: Any) -> None:
    if value != AUTO:
        Number(gte=1)(kind, value)


@Parameter(name="*", group=GROUP)
@dataclass(frozen=True)
class EngineOptions:
    """The workers of a command."""

    workers: Annotated[
        int | Literal["auto"],
        Parameter(
            validator=_count_or_auto, help="how many at once; auto: one a GPU, or one a core where there is none"
        ),
    ] = 1
    threads: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=1),
            show_default=False,
            help="of the CPU that each computes with [default: 1; with one worker, as many as trial steps show to be "
            "fastest, up to OMP_NUM_THREADS]",
        ),
    ] = None
    device: Device = AUTO
    devices: Annotated[
        str | None,
        Parameter(
            metavar="DEVICE,...",
            show_default=False,
            help="that the workers get in turn: cuda:0,cuda:1 [default: every GPU, else cpu]",
        ),
    ] = None
    engine: Annotated[
        Kind, Parameter(help="processes of this machine, or a Ray cluster (pip install 'kmnist[ray]')")
    ] = "local"
    ray_address: Annotated[
        str | None,
        Parameter(
            metavar="HOST:PORT",
            show_default=False,
            help="of the cluster, HOST:PORT or auto [default: that of RAY_ADDRESS, else one on this machine, "
            "for this command]",
        ),
    ] = None
    num_cpus: Annotated[
        float, Parameter(validator=Number(gte=0), help="cores that each worker takes of the cluster")
    ] = 1.0
    num_gpus: Annotated[
        float, Parameter(validator=Number(gte=0), help="GPUs, or a share of one, that each worker takes of the cluster")
    ] = 0.0

    def for_one(self) -> tuple[str, int | None]:
        """Device and threads of a single training.

        Raises:
            SettingError: an option is for many of them.
        """
        many = {
            "workers": self.workers != 1,
            "devices": self.devices is not None,
            "engine": self.engine != "local",
            "ray_address": self.ray_address is not None,
            "num_cpus": self.num_cpus != 1,
            "num_gpus": self.num_gpus != 0,
        }
        if given := [name for name, was in many.items() if was]:
            raise SettingError(f"{', '.join(given)}: of no use to one training; add --seeds, or leave it away")
        return self.device, self.threads

    def begin(self, tracking_uri: str | None) -> Engine:
        """What they mean; workers of this machine begin to import, while the command does so, too.

        Args:
            tracking_uri: that they will connect to.
        """
        if self.engine == "local":
            from kmnist.jobs.forkserver import warm_up

            warm_up(tracking_uri)
        named = self.devices.split(",") if self.devices else [self.device] if self.device != AUTO else []
        return Engine(
            kind=self.engine,
            workers=self.workers,
            devices=tuple(name.strip() for name in named),
            threads=self.threads,
            address=self.ray_address,
            cpus=self.num_cpus,
            gpus=self.num_gpus,
        )
