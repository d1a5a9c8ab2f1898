"""One small data set, written in every form that people have data in."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from kmnist.data import Images
from kmnist.data.idx import idx_bytes

CLASSES = ("ki", "na", "o")  # in the order that folders have
COUNTS = {"train": 24, "test": 9}


def images(split: str) -> Images:
    """Pictures 8 x 8 that differ, each class as often as the others."""
    rng = np.random.default_rng(COUNTS[split])
    labels = np.arange(COUNTS[split]) % len(CLASSES)
    return Images(rng.integers(0, 256, (len(labels), 8, 8)).astype(np.uint8), labels.astype(np.int64))


def png(pixels: np.ndarray, form: str = "PNG") -> bytes:
    content = BytesIO()
    Image.fromarray(pixels).save(content, form)
    return content.getvalue()


def files(of: Images) -> Iterator[tuple[str, bytes]]:
    """Each picture as a file in the folder of its class."""
    for place, (pixels, label) in enumerate(zip(of.pixels, of.labels)):
        yield f"{CLASSES[label]}/{place:03}.png", png(pixels)


def write_files(folder: Path, of: Images) -> None:
    for name, content in files(of):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def idx(images_name: str, labels_name: str, train: str = "train", test: str = "t10k", below: str = "") -> Any:
    def write(folder: Path) -> Path:
        (folder / below).mkdir(parents=True, exist_ok=True)
        for split, prefix in (("train", train), ("test", test)):
            of = images(split)
            (folder / below / images_name.format(prefix)).write_bytes(idx_bytes(of.pixels))
            (folder / below / labels_name.format(prefix)).write_bytes(idx_bytes(of.labels.astype(np.uint8)))
        return folder

    return write


def qmnist(folder: Path) -> Path:
    """Labels int32 (N, 8), of which the first column is the class."""
    idx("qmnist-{}-images-idx3-ubyte", "qmnist-{}-labels-idx2-int", test="test")(folder)
    for split in COUNTS:
        more = np.full((COUNTS[split], 8), 700, np.int32)
        more[:, 0] = images(split).labels
        (folder / f"qmnist-{split}-labels-idx2-int").write_bytes(idx_bytes(more))
    return folder


def publishers_npz(folder: Path) -> Path:
    for split in COUNTS:
        np.savez_compressed(folder / f"mine-{split}-imgs.npz", images(split).pixels)
        np.savez_compressed(folder / f"mine-{split}-labels.npz", images(split).labels.astype(np.uint8))
    return folder


def keras(folder: Path) -> Path:
    train, test = images("train"), images("test")
    path = folder / "keras.npz"
    np.savez(path, x_train=train.pixels, y_train=train.labels, x_test=test.pixels, y_test=test.labels)
    return path


def medmnist(folder: Path) -> Path:
    train, test = images("train"), images("test")
    path = folder / "pathmnist.npz"
    arrays: dict[str, Any] = {
        "train_images": train.pixels[:18],
        "train_labels": train.labels[:18, None].astype(np.uint8),
    }
    arrays |= {"val_images": train.pixels[18:], "val_labels": train.labels[18:, None].astype(np.uint8)}
    arrays |= {"test_images": test.pixels, "test_labels": test.labels[:, None].astype(np.uint8)}
    np.savez_compressed(path, **arrays)
    return path


def rows_npz(folder: Path) -> Path:
    """(N, H * W), and numbers that are no bytes."""
    train, test = (images(split) for split in COUNTS)
    path = folder / "rows.npz"
    flat: dict[str, Any] = {
        f"x_{split}": of.pixels.reshape(len(of), -1).astype(float) for split, of in (("train", train), ("test", test))
    }
    np.savez(path, **flat, y_train=train.labels, y_test=test.labels, mean=np.zeros(64))
    return path


def pixel_csv(header: bool) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for split in COUNTS:
            of = images(split)
            with (folder / f"set_{split}.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                if header:
                    writer.writerow(["label", *(f"pixel{place}" for place in range(64))])
                writer.writerows([label, *row] for label, row in zip(of.labels, of.pixels.reshape(len(of), -1)))
        return folder

    return write


def folders(train: str, test: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_files(folder / train, images("train"))
        write_files(folder / test, images("test"))
        (folder / train / "ki" / "._000.png").write_bytes(b"\0\5\x16\7 of macOS")
        (folder / "README.txt").write_text("no picture")
        return folder

    return write


def hugging_face(folder: Path) -> Path:
    features = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    (folder / "data").mkdir()
    for split in COUNTS:
        of = images(split)
        pictures = [{"bytes": png(pixels), "path": None} for pixels in of.pixels]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(pictures, kind), "label": pa.array(of.labels)})
        parquet.write_table(
            table.replace_schema_metadata(metadata),
            folder / "data" / f"{split}-00000-of-00001.parquet",
            row_group_size=10,
        )
    return folder


def tar(folder: Path) -> Path:
    path = folder / "letters.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for split in ("test", "train"):
            for name, content in files(images(split)):
                member = tarfile.TarInfo(f"letters/{split}/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


#: What it is called in the documentation -> what writes it into a folder and gives its path.
FORMS: dict[str, Callable[[Path], Path]] = {
    "IDX, MNIST's names": idx("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"),
    "IDX, with a dot": idx("{}-images.idx3-ubyte", "{}-labels.idx1-ubyte"),
    "IDX, EMNIST's names": idx(
        "emnist-letters-{}-images-idx3-ubyte", "emnist-letters-{}-labels-idx1-ubyte", test="test"
    ),
    "IDX, in capitals": idx("{}-IMAGES-IDX3-UBYTE", "{}-LABELS-IDX1-UBYTE", "TRAIN", "T10K"),
    "IDX, in torchvision's folder": idx("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte", below="FashionMNIST/raw"),
    "IDX, QMNIST": qmnist,
    "npz, the publisher's": publishers_npz,
    "npz, Keras": keras,
    "npz, MedMNIST": medmnist,
    "npz, pictures in rows": rows_npz,
    "CSV with a header": pixel_csv(True),
    "CSV without a header": pixel_csv(False),
    "folders, train and test": folders("train", "test"),
    "folders, training and testing": folders("Training", "Testing"),
    "folders, train and valid": folders("train", "valid"),
    "parquet, Hugging Face": hugging_face,
    "tar of folders": tar,
}
NAMED = ("folders", "parquet", "tar")  # forms that name the classes
