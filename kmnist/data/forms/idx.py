"""IDX files under the names in use: MNIST's, with a dot, EMNIST's, QMNIST's, in capitals, in torchvision's folders."""

import re
from pathlib import Path

from kmnist.data.forms.found import TEST, TRAIN, ArrayPart, Found, listed, of_split
from kmnist.data.forms.labels import label_column
from kmnist.data.idx import read_numbers
from kmnist.errors import DataError

FORM = "idx"
EXPECTS = "a folder of four IDX files: train-images-idx3-ubyte, train-labels-idx1-ubyte, and the same for t10k"
NAME = re.compile(
    r"(?:(?P<set>.*?)[-_.])??(?P<split>train|training|t10k|test|testing)[-_.]?(?P<kind>images?|labels?)"
    r"(?:[-_.]?idx\d)?(?:[-_.](?:ubyte|int|byte|short|float|double))?(?:\.idx\d?)?(?P<packed>\.gz)?",
    re.IGNORECASE,
)
NOT_IDX = (".npy", ".npz", ".csv", ".parquet", ".pt", ".txt", ".zip", ".tar", ".png")
BELOW = ("raw", "*/raw")  # where torchvision puts them


def find(path: Path) -> Found | None:
    """IDX files in a folder, or in torchvision's folders below it; of several sets, one by ``FOLDER/SET``."""
    folder, asked = (path, None) if path.is_dir() else (path.parent, path.name)
    if not folder.is_dir():
        return None
    sets = files_in(folder)
    if asked is not None:
        if path.exists() and not (match := NAME.fullmatch(asked)):
            return None
        asked = (match["set"] or "") if path.exists() and match else asked
        if asked not in sets:
            return None
    if not sets:
        return None
    if asked is None and len(sets) > 1:
        names = sorted(sets)
        raise DataError(
            f"{path} holds several data sets, {listed(names)}: name one, for example {path / (names[0] or names[1])}"
        )
    name, files = (asked, sets[asked]) if asked is not None else next(iter(sets.items()))
    parts = {split: _part(folder, split, files) for split in dict.fromkeys(split for split, _ in files)}
    where = next(iter(files.values())).parent
    if TRAIN not in parts:
        raise DataError(f"{folder} holds {listed(_names(files))} and no train images: {EXPECTED}")
    return Found(FORM, dict(parts), where, name=name or _name_of(where))


EXPECTED = (
    "must be train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, "
    "gzipped or not; rename yours so"
)


def files_in(folder: Path) -> dict[str, dict[tuple[str, str], Path]]:
    """Of each set in a folder (its name, or nothing): (split, ``images`` or ``labels``) -> file."""
    for below in ("", *BELOW):
        sets: dict[str, dict[tuple[str, str], Path]] = {}
        paths = sorted(folder.glob(f"{below}/*" if below else "*"), key=lambda path: not path.name.endswith(".gz"))
        for path in paths:
            match = NAME.fullmatch(path.name)
            if not match or path.suffix.lower() in NOT_IDX or not path.is_file():
                continue
            kind = "labels" if match["kind"].lower().startswith("label") else "images"
            named = match["set"] or (path.parent.parent.name if below == "*/raw" else "")
            sets.setdefault(named, {}).setdefault((of_split(match["split"]) or TEST, kind), path)
        if sets:
            return dict(sorted(sets.items()))
    return {}


def _part(folder: Path, split: str, files: dict[tuple[str, str], Path]) -> ArrayPart:
    images, numbers = files.get((split, "images")), files.get((split, "labels"))
    if images is None or numbers is None:
        raise DataError(
            f"{folder} holds {listed(_names(files))}: there are no {split} {'images' if images is None else 'labels'}; "
            f"{EXPECTED}"
        )
    pixels, labels = read_numbers(images), label_column(read_numbers(numbers), str(numbers))
    if pixels.ndim != 3 or len(pixels) != len(labels) or not len(pixels):
        raise DataError(
            f"{folder}: the {split} files hold {pixels.shape} pixels and ({len(labels)},) labels; "
            "must be (N, H, W) and (N,), N at least 1"
        )
    return ArrayPart(pixels, labels, str(images))


def _names(files: dict[tuple[str, str], Path]) -> list[str]:
    return [path.name for path in files.values()]


def _name_of(folder: Path) -> str:
    """The folder's name, or of torchvision's ``MNIST/raw`` the one above."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "raw" else folder.name
