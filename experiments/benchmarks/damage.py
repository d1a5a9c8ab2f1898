"""Damaged pictures, archives and tables through the reading code of ``kmnist predict``, from a fixed seed.

python -m experiments.benchmarks.damage --files 2000 --seed 0
"""

import gzip
import random
import tarfile
import time
from collections import Counter
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from kmnist.data.idx import idx_bytes
from kmnist.data.kmnist import SPEC
from kmnist.pictures.formats import reads_heic
from kmnist.pictures.read import quiet_decoders
from kmnist.pictures.skipped import Skipped
from kmnist.prediction.decoding import in_batches, prepare
from kmnist.prediction.sources import find_pictures

app = cyclopts.App(help=__doc__, help_format="plaintext")
SECONDS = 5  # of the processor, for a file
FORMS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")


@app.default
def main(*, files: int = 2_000, seed: int = 0) -> None:
    """Print how many were answered and how many refused, by kind; whatever else happens is raised.

    Parameters
    ----------
    files
        how many are damaged and read
    seed
        of the damage
    """
    for kind, (answered, refused, seconds) in damage(files, seed).items():
        print(f"{kind:9} {answered:6} pictures answered {refused:6} refused  at most {seconds:.2f} s a file")


def damage(files: int, seed: int) -> dict[str, tuple[int, int, float]]:
    """Damage and read files of each kind in turn.

    Returns:
        Of each kind, the pictures answered, those refused, and the most seconds that a file took.

    Raises:
        AssertionError: a file took too long, or what was answered is no picture.
    """
    chance, kinds = random.Random(seed), good()
    answered: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    longest = dict.fromkeys(kinds, 0.0)
    with TemporaryDirectory() as folder:
        for number in range(files):
            name = list(kinds)[number % len(kinds)]
            path = Path(folder) / name
            path.write_bytes(damaged(kinds[name], kinds[chance.choice(list(kinds))], chance))
            began = time.process_time()
            try:
                for batch in in_batches(find_pictures([str(path)], BytesIO(), Skipped())):
                    prepared = prepare(batch, SPEC, raw=False)
                    for image, error in zip(prepared.images, prepared.errors):
                        assert bool(error) != bool(image.any()), error  # an answer is of ink, an error of none
                        (refused if error else answered)[name] += 1
            except Exception as error:
                error.add_note(f"file {number} ({name}) of seed {seed}")
                raise
            longest[name] = max(longest[name], time.process_time() - began)
            assert longest[name] < SECONDS, f"file {number} ({name}) of seed {seed} took {longest[name]:.1f} s"
    return {name: (answered[name], refused[name], longest[name]) for name in kinds}


def damaged(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """With bits turned, cut short, with the beginning of another file, or with numbers that are lengths exchanged."""
    damage = bytearray(content)
    match chance.randrange(4):
        case 0:
            for _ in range(chance.choice((1, 1, 4, 30))):
                damage[chance.randrange(len(damage))] ^= 1 << chance.randrange(8)
        case 1:
            del damage[chance.randrange(len(damage)) :]
        case 2:
            size = chance.choice((4, 8, 16, 64, 200))
            damage[:size] = other[:size]
        case _:
            one, two = (chance.randrange(max(min(len(damage), 300) - 4, 1)) for _ in range(2))
            damage[one : one + 4], damage[two : two + 4] = damage[two : two + 4], damage[one : one + 4]
    return bytes(damage)


def good() -> dict[str, bytes]:
    """File name -> a whole file."""
    picture = np.zeros((40, 50), np.uint8)
    picture[8:32, 20:26] = 220
    picture[18:24, 10:40] = 180
    kinds: dict[str, bytes] = {}
    for form in FORMS:
        if form == "HEIF" and not reads_heic():
            continue
        content = BytesIO()
        Image.fromarray(picture).convert("RGB").save(content, form)
        kinds[f"a.{form.lower()}"] = content.getvalue()
    npy, npz, table, tar = BytesIO(), BytesIO(), BytesIO(), BytesIO()
    images = np.stack([picture, picture[::-1]])
    np.save(npy, images)
    np.savez_compressed(npz, images=images)
    parquet.write_table(pa.table({"image": [kinds["a.png"], kinds["a.gif"]]}), table)
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in ("a.png", "a.bmp"):
            member = tarfile.TarInfo(name)
            member.size = len(kinds[name])
            archive.addfile(member, BytesIO(kinds[name]))
    return kinds | {
        "a.npy": npy.getvalue(),
        "a.npz": npz.getvalue(),
        "a": idx_bytes(images),
        "a.gz": gzip.compress(idx_bytes(images), mtime=0),
        "a.parquet": table.getvalue(),
        "a.tar": tar.getvalue(),
        "a.tgz": gzip.compress(tar.getvalue(), mtime=0),
    }


if __name__ == "__main__":
    quiet_decoders()
    app()
