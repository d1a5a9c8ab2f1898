"""What a plain installation leaves out: whoever needs it says so here, and the user hears which extra brings it."""

from functools import cache
from importlib import metadata

from kmnist.errors import MissingExtra


def require(extra: str, what: str) -> None:
    """Let ``what`` go on only where all packages of an extra are installed.

    Called where something begins, so that it does not end in its middle. Which packages they are is read from the
    installed package's own metadata, so from ``pyproject.toml``: there is no second list.

    Example:
        >>> require("train", "kmnist train")  # nothing, or:
        ... # MissingExtra: kmnist train needs pandas, pooch: pip install 'kmnist[train]'

    Args:
        extra: of ``[project.optional-dependencies]``.
        what: is asked for: a command, or a setting with its value.

    Raises:
        MissingExtra: one is not installed.
    """
    if missing := missing_of(extra):
        raise MissingExtra(f"{what} needs {', '.join(missing)}: pip install 'kmnist[{extra}]'")


@cache
def missing_of(extra: str) -> tuple[str, ...]:
    """The packages of an extra that are not installed, by name; those of the extras that it takes in, too."""
    from packaging.requirements import Requirement  # late: the command's help need not wait for it

    missing: set[str] = set()
    for text in metadata.requires("kmnist") or ():
        requirement = Requirement(text)
        if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name == "kmnist":
            missing.update(name for other in requirement.extras for name in missing_of(other))
        elif not is_installed(requirement.name):
            missing.add(requirement.name)
    return tuple(sorted(missing))


def is_installed(name: str) -> bool:
    """Whether there is a distribution of that name."""
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
