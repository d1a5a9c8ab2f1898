"""The architectures. To add one: a file here, its name in ``TrainConfig.arch``, a line in ``BUILDERS``."""

from kmnist.models.build import BUILDERS, build

__all__ = ["BUILDERS", "build"]
