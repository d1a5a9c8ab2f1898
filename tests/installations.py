"""What ``pip install kmnist`` and its extras install, as folders of links to the packages that are installed here."""

import os
import subprocess
import sys
from collections.abc import Collection
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def distributions(extras: Collection[str] = ()) -> set[str]:
    """The distributions that come with ``kmnist`` and some of its extras, found as pip does."""
    found: set[tuple[str, str]] = set()
    waiting = [("kmnist", extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(requirement.name, further) for further in ("", *requirement.extras)]
    return {name for name, _ in found}


def make_installation(folder: Path, extras: Collection[str] = ()) -> Path:
    """Put the packages of ``kmnist`` and some of its extras into ``folder``."""
    folder.mkdir(exist_ok=True)
    for name in distributions(extras) - {"kmnist"}:
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(str(distribution.locate_file(top)))
    (folder / "kmnist").symlink_to(ROOT / "kmnist")
    described = metadata.distribution("kmnist")
    (folder / "kmnist.dist-info").mkdir()
    (folder / "kmnist.dist-info" / "METADATA").write_text(described.read_text("METADATA") or str(described.metadata))
    return folder


def run_python(installation: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the packages of an installation and no others, in ``folder``, which has a tracking store."""
    known = {name: text for name, text in os.environ.items() if not name.startswith(("KMNIST_", "MLFLOW_"))}
    return subprocess.run(
        [sys.executable, "-S", *arguments],  # -S: without the packages that are installed here
        cwd=folder,
        env={**known, "PYTHONPATH": str(installation), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
        capture_output=True,
        text=True,
    )
