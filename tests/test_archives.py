"""What people pack pictures in, what macOS adds to it, and paths that lead nowhere."""

import bz2
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from kmnist.data import Dataset
from kmnist.errors import PictureError
from kmnist.inference import to_kmnist
from kmnist.inference.small import Gray
from kmnist.pictures.skipped import Skipped
from kmnist.prediction.sources import check_there
from tests.commands import Command
from tests.reading import read

APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        "  # how it begins


@pytest.fixture(scope="module")
def pictures(drawn: Dataset) -> dict[str, bytes]:
    """Files of pictures by name, in two folders."""
    found = {}
    for place, image in enumerate(drawn.test.pixels[:4]):
        content = io.BytesIO()
        Image.fromarray(255 - image).save(content, "png")
        found[f"{'ab'[place % 2]}/{place}.png"] = content.getvalue()
    return found


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", how) as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return content.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, value in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(value)
            archive.addfile(info, io.BytesIO(value))
    return content.getvalue()


def seen(drawn: Dataset) -> list[Gray]:
    return [to_kmnist(255 - image) for image in drawn.test.pixels[:4]]


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_pictures_of_a_zip_are_read_in_order(
    how: int, pictures: dict[str, bytes], drawn: Dataset, tmp_path: Path
) -> None:
    skipped = Skipped()
    (tmp_path / "a.zip").write_bytes(zipped({**pictures, "a/notes.txt": b"x", "../b/4.png": b"no picture"}, how))
    *found, last = read(tmp_path / "a.zip", skipped=skipped)
    assert [one.name for one in found] == [f"{tmp_path}/a.zip[{name}]" for name in pictures]
    assert np.array_equal([one.image for one in found], seen(drawn))
    assert last.error.startswith("not a picture")
    assert str(skipped) == "left out 1 file: 1 .txt (a/notes.txt)"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]  # nothing is extracted
    assert [one.name for one in read(tmp_path)] == [one.name for one in (*found, last)]  # in a folder, too


def test_what_is_wrong_with_a_zip_is_said_and_the_rest_is_read(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    whole = zipped(pictures, zipfile.ZIP_STORED)
    path.write_bytes(whole.replace(pictures["a/0.png"], pictures["a/0.png"][:-1] + b"x"))
    assert [one.error[:22] for one in read(path)] == ["damaged in the archive", "", "", ""]
    path.write_bytes(zipped(pictures, zipfile.ZIP_BZIP2))
    assert {one.error for one in read(path)} == {"packed in another way than zip's own; unpack the archive first"}
    locked = bytearray(zipped(pictures))
    locked[locked.index(b"PK\1\2") + 8] |= 1  # the flag of encryption in the central directory
    path.write_bytes(locked)
    assert next(read(path)).error == "it needs a password; unpack the archive first"
    path.write_bytes(zipped({f"{place}.png": bytes(9_000_000) for place in range(4)}))
    [one] = read(path)
    assert "that promise 36,000,000: more than 100 times as much is not unpacked" in one.error
    for content in (b"", b"PK\3\4", whole[:-30]):
        path.write_bytes(content)
        [one] = read(path)
        assert "damaged zip file" in one.error


@pytest.mark.parametrize("ending", ["tar.xz", "tar.bz2", "txz", "7z", "rar", "tar.zst"])
def test_an_archive_that_is_not_read_is_called_one(ending: str, pictures: dict[str, bytes], tmp_path: Path) -> None:
    pack = {"tar.xz": lzma.compress, "txz": lzma.compress, "tar.bz2": bz2.compress}.get(ending, bytes)
    path = tmp_path / f"a.{ending}"
    path.write_bytes(pack(tarred(pictures)))
    [one] = read(path)
    kind = ending.rpartition(".")[2]
    assert one.error == f"a .{kind} archive: unpack it first, or pack it as .tar, .tar.gz or .zip, which are read"


@pytest.mark.parametrize("form", ["folder", "a.tar", "a.zip"])
def test_what_macos_adds_is_no_picture(form: str, pictures: dict[str, bytes], drawn: Dataset, tmp_path: Path) -> None:
    """It would be a row with an error for each picture."""
    added = {}
    for name, content in pictures.items():
        folder, _, file = name.rpartition("/")
        added |= {name: content, f"{folder}/._{file}": APPLE_DOUBLE, f"__MACOSX/{folder}/{file}": APPLE_DOUBLE}
    skipped = Skipped()
    if form == "folder":
        for name, content in added.items():
            (tmp_path / form / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / form / name).write_bytes(content)
    else:
        (tmp_path / form).write_bytes((zipped if form == "a.zip" else tarred)(added))
    found = list(read(tmp_path / form, skipped=skipped))
    assert [one.error for one in found] == [""] * 4
    assert "that macOS adds" in str(skipped)


@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view", "fixed_size_binary", "dictionary"])
def test_pictures_may_be_in_any_column_of_bytes(
    kind: str, pictures: dict[str, bytes], drawn: Dataset, tmp_path: Path
) -> None:
    contents = [pictures["a/0.png"]] * 3
    column = {
        "dictionary": lambda: pa.array(contents).dictionary_encode(),
        "fixed_size_binary": lambda: pa.array(contents, pa.binary(len(contents[0]))),
    }.get(kind, lambda: pa.array(contents, getattr(pa, kind)()))()
    parquet.write_table(pa.table({"picture": column, "label": [1, 2, 3]}), tmp_path / "a.parquet")
    found = list(read(tmp_path / "a.parquet"))
    assert [(one.name[-3:], one.error) for one in found] == [("[0]", ""), ("[1]", ""), ("[2]", "")]
    assert all(np.array_equal(one.image, seen(drawn)[0]) for one in found if one.image is not None)


def test_a_picture_without_an_ending_is_read_and_an_idx_file_too(
    pictures: dict[str, bytes], drawn: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "scan").write_bytes(pictures["a/0.png"])
    (tmp_path / "text").write_bytes(b"no picture")
    (tmp_path / "images-idx3-ubyte").write_bytes(
        b"\0\0\x08\3\0\0\0\1\0\0\0\x1c\0\0\0\x1c" + drawn.test.pixels[0].tobytes()
    )
    assert [one.error[:13] for one in read(tmp_path / "scan", tmp_path / "text")] == ["", "not a picture"]
    assert [one.error for one in read(tmp_path / "images-idx3-ubyte")] == [""]


def test_a_damaged_file_of_ones_own_is_not_to_be_fetched_again(tmp_path: Path) -> None:
    for name, content in (("a", b"\0\0\x08\3\0\0"), ("b.gz", b"\x1f\x8b\0"), ("c.gz", b"x"), ("d", b"\0\0\x0d\3")):
        (tmp_path / name).write_bytes(content)
        [one] = read(tmp_path / name)
        assert one.error
        assert "fetch" not in one.error


def test_a_path_that_leads_nowhere_is_said_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "drawings").mkdir()
    (tmp_path / "drawings" / "photo.png").touch()
    for wrong, near in (
        ("drawing", "drawings"),
        ("drawing/", "drawings"),
        ("drawings/foto.png", "drawings/photo.png"),
        ("drawing/photo.png", "drawings"),
    ):
        with pytest.raises(PictureError, match=f"No such file or directory; did you mean {tmp_path}/{near}\\?$"):
            check_there([f"{tmp_path}/{wrong}"])
    with pytest.raises(PictureError, match=r"No such file or directory$"):
        check_there([str(tmp_path / "something else")])
    check_there([str(tmp_path / "nowhere"), str(tmp_path / "drawings")])  # one of several is an error in its row
    check_there(["-"])


def test_a_wrong_path_and_an_empty_folder_end_the_command_before_the_model_is_asked_for(
    kmnist_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    (tmp_path / "drawings").mkdir()
    done = kmnist_command("predict", str(tmp_path / "drawing"))
    said = f"kmnist: {tmp_path}/drawing: No such file or directory; did you mean {tmp_path}/drawings?\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    done = kmnist_command("predict", str(tmp_path / "drawings"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"kmnist: there are no pictures in {tmp_path}/drawings\n"
    (tmp_path / "drawings" / "notes.txt").touch()
    done = kmnist_command("predict", str(tmp_path / "drawings"), "--out", str(tmp_path / "answers.csv"))
    assert done.stderr.endswith("drawings; left out 1 file: 1 .txt (notes.txt)\n")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("answers")) == []
