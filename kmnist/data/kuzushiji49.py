"""Kuzushiji-49: 232,365 + 38,547 images of 48 hiragana and the iteration mark, of some far more than of others.

Source: "KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL and others),
doi:10.20676/00000341, licence CC BY-SA 4.0; classes in the order of https://github.com/rois-codh/kmnist. The publisher
recommends balanced accuracy for it. No checksums were published, so a set is official by its numbers of images.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from kmnist.data.download import Unreachable, fetch_file, find_file
from kmnist.data.images import Dataset, Images
from kmnist.data.one_array import read_array
from kmnist.data.spec import DataSpec, labels
from kmnist.errors import DataError

ROMAJI = (
    "a i u e o ka ki ku ke ko sa shi su se so ta chi tsu te to na ni nu ne no ha hi fu he ho ma mi mu me mo "
    "ya yu yo ra ri ru re ro wa wi we wo n iteration"
)
KANA = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわゐゑをんゝ"
SPEC = DataSpec("kuzushiji49", "Kuzushiji-49", labels(ROMAJI.split(), KANA))
COUNTS = {"train": 232_365, "test": 38_547}
HOMEPAGE = "https://codh.rois.ac.jp/kmnist/"
MIRRORS = (
    "https://codh.rois.ac.jp/kmnist/dataset/k49/",
    "https://storage.googleapis.com/kuzushiji-mnist/",
)


def load_kuzushiji49(folder: Path, *, fetch: bool = True, progress: bool = True) -> Dataset:
    """Kuzushiji-49 from ``folder``, which holds its four ``.npz`` files, or gets them.

    Raises:
        Unreachable: a file is missing and no mirror answered (or ``fetch`` is false).
        DataError: a file is damaged, or ``folder`` cannot be written.
    """
    try:
        train, test = (_images(folder, split, fetch=fetch, progress=progress) for split in COUNTS)
        data = Dataset.build(SPEC, HOMEPAGE, train, test)
    except DataError as error:
        raise type(error)(f"Kuzushiji-49 in {folder}: {error}") from error
    official = {"train": len(train), "test": len(test)} == COUNTS
    return replace(data, spec=replace(data.spec, official=official))


def _images(folder: Path, split: str, *, fetch: bool, progress: bool) -> Images:
    arrays = []
    for kind, shape in (("imgs", (28, 28)), ("labels", ())):
        name = f"k49-{split}-{kind}.npz"
        path = find_file(folder, name, "k49")
        if path is None:
            if not fetch:
                raise Unreachable(f"{name} is not there; put the four files there or name their folder (--data-dir)")
            path = fetch_file(folder, name, MIRRORS, None, progress=progress)
        arrays.append(read_array(path, (COUNTS[split], *shape)))
    return Images(arrays[0], arrays[1].astype(np.int64))
