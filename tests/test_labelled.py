"""Labelled pictures in the forms that people have them, read for ``kmnist evaluate``."""

import json
import unicodedata
from collections.abc import Collection
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from kmnist.data import Dataset, Images
from kmnist.data.forms import find_form
from kmnist.data.kmnist import SPEC
from kmnist.data.spec import DataSpec, labels
from kmnist.errors import PictureError
from kmnist.prediction.labelled import Labelled, read_labelled


def content(image: np.ndarray) -> bytes:  # type: ignore[type-arg]
    file = BytesIO()
    Image.fromarray(255 - image).save(file, "png")
    return file.getvalue()


def read(path: Path, spec: DataSpec, leave_out: Collection[str] = ()) -> Labelled:
    return read_labelled(find_form(path), path, "test", spec, {}, leave_out=leave_out)


@pytest.fixture
def test(drawn: Dataset) -> Images:
    return drawn.test[np.arange(20)]


def write(folder: Path, test: Images, names: list[str]) -> None:
    for place, (pixels, label) in enumerate(zip(test.pixels, test.labels)):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        (folder / names[label] / f"{place:02}.png").write_bytes(content(pixels))


@pytest.mark.parametrize(
    "names",
    [
        [str(number) for number in range(10)],
        [label.text for label in SPEC.classes],
        [label.glyph for label in SPEC.classes],
        [f"U+{ord(label.glyph):04X}" for label in SPEC.classes],  # as the publisher's own archive has them
        [f"u+{ord(label.glyph):04x}" for label in SPEC.classes],
    ],
    ids=["number", "text", "glyph", "code point", "code point in lower case"],
)
def test_folders_are_named_by_anything_that_names_the_class(names: list[str], test: Images, tmp_path: Path) -> None:
    write(tmp_path, test, names)
    found = read(tmp_path, SPEC)
    assert sorted(found.images.labels) == sorted(test.labels)


def test_characters_that_macos_takes_apart_are_put_together_again(test: Images, tmp_path: Path) -> None:
    spec = DataSpec("own", "Own", labels(["ga", "pa"], ["が", "ぱ"]))
    apart = [unicodedata.normalize("NFD", label.glyph) for label in spec.classes]
    assert [len(name) for name in apart] == [2, 2]
    write(tmp_path, Images(test.pixels[:2], np.arange(2)), apart)
    assert read(tmp_path, spec).images.labels.tolist() == [0, 1]


def test_hidden_folders_are_those_of_programs(test: Images, tmp_path: Path) -> None:
    write(tmp_path, test, [label.text for label in SPEC.classes])
    for name in (".git", ".ipynb_checkpoints", "__MACOSX"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"no picture")
    found = read(tmp_path, SPEC)
    assert (len(found.images), found.unread) == (20, [])


def hugging_face(test: Images, names: list[str] | None, label: str = "label") -> pa.Table:
    """As ``datasets.Dataset.to_parquet`` writes it."""
    image = [{"bytes": content(pixels), "path": None} for pixels in test.pixels]
    table = pa.table({"image": image, label: test.labels})
    feature = {"names": names, "_type": "ClassLabel"} if names else {"dtype": "int64", "_type": "Value"}
    about = {"info": {"features": {"image": {"_type": "Image"}, label: feature}}}
    return table.replace_schema_metadata({"huggingface": json.dumps(about)})


def test_parquet_of_hugging_face_is_read_with_the_names_of_its_classes(test: Images, tmp_path: Path) -> None:
    path = tmp_path / "test-00000-of-00001.parquet"
    parquet.write_table(hugging_face(test, None), path)
    assert np.array_equal(read(path, SPEC).images.labels, test.labels)
    # The numbers are the file's own: what they stand for is in its schema.
    names = [label.text for label in SPEC.classes][::-1]
    parquet.write_table(hugging_face(test, names), path)
    found = read(path, SPEC)
    assert np.array_equal(found.images.labels, 9 - test.labels)
    assert found.images.pixels.shape == (20, 28, 28)
    parquet.write_table(hugging_face(test, names, "class"), path)
    assert np.array_equal(read(path, SPEC).images.labels, 9 - test.labels)  # a ClassLabel, whatever its column's name


def test_classes_that_the_model_does_not_know_can_be_left_out(test: Images, tmp_path: Path) -> None:
    names = [label.text for label in SPEC.classes]
    write(tmp_path / "folder", test, [*names[:9], "omega"])
    path = tmp_path / "a.parquet"
    parquet.write_table(hugging_face(test, [*names[:9], "omega"]), path)
    table = pd.DataFrame({"picture": "folder/omega/09.png", "label": ["omega"]})
    table.to_csv(tmp_path / "a.csv", index=False)
    for given in (tmp_path / "folder", path, tmp_path / "a.csv"):
        with pytest.raises(
            PictureError, match=r"'omega' is none of the classes of .*on the others: --leave-out omega$"
        ):
            read(given, SPEC)
    for given in (tmp_path / "folder", path):
        found = read(given, SPEC, leave_out=("omega",))
        assert sorted(found.images.labels) == sorted(test.labels[test.labels != 9])
    with pytest.raises(PictureError, match="--leave-out leaves no picture"):
        read(tmp_path / "a.csv", SPEC, leave_out=("omega",))


def test_an_unreadable_picture_among_others_costs_its_own_label_only(test: Images, tmp_path: Path) -> None:
    table = hugging_face(test, None).to_pydict()
    table["image"][3] = {"bytes": b"no picture", "path": None}
    table["image"][7] = None
    parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", SPEC)
    assert np.array_equal(found.images.labels, np.delete(test.labels, [3, 7]))
    assert [name[-3:] for name, _ in found.unread] == ["[3]", "[7]"]
