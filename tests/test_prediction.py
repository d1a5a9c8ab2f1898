"""Many pictures: archives and tables of them, shards, processes, and answers that a kill leaves whole."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from experiments.benchmarks.damage import damage
from kmnist.data import Dataset
from kmnist.durable import replace_file
from kmnist.errors import SettingError
from kmnist.pictures.skipped import Skipped
from kmnist.prediction import parts as parts_module
from kmnist.prediction.sources import find_pictures, shard_of
from tests.commands import Command, environment
from tests.peak import peak
from tests.reading import read
from tests.registered import saved
from tests.test_pictures import encoded

__all__ = ["saved"]  # a fixture
MANY = 3_000


@pytest.fixture(scope="module")
def contents(drawn: Dataset) -> list[bytes]:
    return [encoded(Image.fromarray(image)) for image in drawn.test.pixels[:20]]


@pytest.fixture(scope="module")
def many(contents: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, of which every 1,000th is damaged."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(MANY):
        content = contents[number % len(contents)]
        (folder / f"{number:05}.png").write_bytes(content[:60] if number % 1_000 == 999 else content)
    return folder


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs: nobody may have waited for one that was an orphan when it ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def tar_of(members: dict[str, bytes], form: str = "w") -> bytes:
    content = BytesIO()
    with tarfile.open(fileobj=content, mode=form) as archive:  # type: ignore[call-overload]
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            archive.addfile(info, BytesIO(member))
    return content.getvalue()


@pytest.mark.parametrize("form", ["w", "w:gz"])
def test_members_of_a_tar_are_read_in_order_and_nothing_is_extracted(
    form: str, contents: list[bytes], drawn: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["b.png", "../../out.png", "/tmp/absolute.png", "a.PNG", "b.png"]
    members = dict(zip(names, contents)) | {"labels.csv": b"a,b", "x/": b""}
    path = tmp_path / ("a.tar" if form == "w" else "a.tgz")
    path.write_bytes(tar_of(members, form))
    monkeypatch.chdir(tmp_path)
    skipped = Skipped()
    found = list(read(path.name, raw=True, skipped=skipped))
    assert [picture.name for picture in found] == [f"{path.name}[{name}]" for name in dict.fromkeys(names)]
    assert not any(picture.error for picture in found)
    assert np.array_equal(found[1].image, drawn.test.pixels[1])  # type: ignore[arg-type]
    assert "1 .csv (labels.csv)" in str(skipped)
    assert [inner.name for inner in tmp_path.iterdir()] == [path.name]


def test_what_is_wrong_with_a_tar_is_told_after_what_is_right(contents: list[bytes], tmp_path: Path) -> None:
    whole = tar_of(dict(zip("abcd", contents)) | {"e.png": contents[0], "f.png": contents[1]})
    second = whole.index(b"f.png")
    bomb = tar_of({"a.txt": bytes(50_000_000)}, "w:gz")
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    linked = link.tobuf() + bytes(10_240)
    for content, errors in {
        whole: ["", ""],
        whole[:second]: ["", "cut short"],  # between two members
        whole[: second + 700]: ["", "unexpected end of data"],
        whole[:second] + b"x" * 512 + whole[second + 512 :]: ["", "a header cannot be read"],
        b"x" * 10_240: ["damaged tar file"],
        b"": ["damaged tar file"],
        b"BZh9" + whole: ["damaged tar file"],
        bomb: ["more than 100 times as much"],
        linked: [],
    }.items():
        path = tmp_path / "a.tar"
        path.write_bytes(content)
        found = [picture.error for picture in read(path)]
        assert len(found) == len(errors), found
        assert all(part in error and bool(part) == bool(error) for part, error in zip(errors, found)), found


def test_a_table_holds_bytes_or_what_hugging_face_writes(contents: list[bytes], drawn: Dataset, tmp_path: Path) -> None:
    nested = pa.array(
        [{"bytes": content, "path": "../../x.png"} for content in contents] + [None],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    tables = {
        "plain.parquet": pa.table({"label": [0] * 20, "image": contents}),
        "nested.parquet": pa.table({"image": nested, "label": [0] * 21}),
    }
    for name, table in tables.items():
        parquet.write_table(table, tmp_path / name, row_group_size=7)
        found = list(read(tmp_path / name, raw=True))
        assert [picture.name for picture in found[:2]] == [f"{tmp_path / name}[0]", f"{tmp_path / name}[1]"]
        for picture, image in zip(found[:20], drawn.test.pixels):
            assert np.array_equal(picture.image, image)  # type: ignore[arg-type]
    assert found[20].error == "there are no bytes in this row"


def test_a_table_that_cannot_be_read_is_one_error(contents: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"image": contents, "other": contents}), path)
    assert "2 columns of pictures" in next(read(path)).error
    parquet.write_table(pa.table({"label": [1]}), path)
    assert "it has label (int64)" in next(read(path)).error
    parquet.write_table(pa.table({"image": [bytes(71_000_000)] * 3}), path, use_dictionary=False, compression="zstd")
    assert "that promise 213,000" in next(read(path)).error
    path.write_bytes(b"PAR1 no table PAR1")
    assert "damaged parquet file" in next(read(path)).error
    assert next(read(tmp_path / "none.parquet")).error.startswith("No such file or directory; did you mean ")


def test_a_table_of_one_large_picture_a_thousand_times_takes_little_memory(tmp_path: Path) -> None:
    large = np.random.default_rng(0).bytes(4_000_000)
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array([large]))
    parquet.write_table(pa.table({"image": values}), tmp_path / "a.parquet", store_schema=False)
    megabytes, _ = peak(lambda: list(read(tmp_path / "a.parquet")))
    assert megabytes < 150


def test_shards_are_all_pictures_once(many: Path) -> None:
    def found(which: str | None) -> list[str]:
        return [picture.name for picture in shard_of(find_pictures([str(many)], BytesIO(), Skipped()), which)]

    parts = [found(f"{number}/8") for number in range(1, 9)]
    assert sorted(name for part in parts for name in part) == found(None)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("which", ["0/8", "9/8", "1", "1/0", "-1/8", "a/b", "1/8/8", "²/3", "9" * 5_000 + "/1"])
def test_what_is_no_shard_is_told(which: str) -> None:
    with pytest.raises(SettingError, match="--shard"):
        shard_of(iter(()), which)


@pytest.mark.long
def test_the_same_command_goes_on_after_a_kill(many: Path, saved: Path, tmp_path: Path, store: str) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "answers.csv"
    # Each batch a part: a kill finds some.
    program = "import kmnist.prediction.parts as parts; parts.ROWS = 1; from kmnist.cli import main; main()"

    def command(path: Path) -> list[str]:
        return [sys.executable, "-c", program, "predict", str(many), "--model", str(saved), "--out", str(path)]

    settings = environment(store)
    assert subprocess.run(command(whole), env=settings, check=False, capture_output=True).returncode == 1
    kills = 0
    folder = tmp_path / "answers.csv.parts"
    while True:
        before = len(list(folder.glob("part-*")))
        process = subprocess.Popen(command(out), env=settings, stderr=subprocess.PIPE)
        workers: list[psutil.Process] = []
        while process.poll() is None and len(list(folder.glob("part-*"))) <= before:
            time.sleep(0.005)
        if process.poll() is None:
            workers = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGKILL if kills % 2 == 0 else signal.SIGTERM)
            kills += 1
        _, said = process.communicate(timeout=60)
        assert b"Traceback" not in said
        deadline = time.monotonic() + 20
        while any(map(is_alive, workers)):  # none is left behind
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if process.returncode == 1:
            break
    assert kills
    assert not folder.exists()
    answers = pd.read_csv(out)
    pd.testing.assert_frame_equal(answers, pd.read_csv(whole), check_exact=True)
    assert len(answers) == MANY
    assert answers["error"].astype(bool).sum() >= 3


def test_answers_of_something_else_are_not_gone_on_with(
    many: Path, saved: Path, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch, drawn: Dataset
) -> None:
    pictures = Path("pictures")
    pictures.mkdir()
    for number in range(5_000):
        os.link(many / f"{number % MANY:05}.png", pictures / f"{number:05}.png")
    monkeypatch.setattr(parts_module, "ROWS", 1)

    def stops(*_: object) -> None:
        raise OSError(28, "No space left on device")

    line = ["predict", "pictures", "--model", str(saved), "--out", "pictures/answers.parquet", "--workers", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(
            parts_module,
            "replace_file",
            lambda path, content: stops() if path.name == "part-000001.parquet" else replace_file(path, content),
        )
        done = kmnist_command(*line)
    assert "No space left on device" in done.stderr
    assert "goes on where this one ended" in done.stderr

    done = kmnist_command(*line, "--raw")
    assert "which had another --raw" in done.stderr
    (pictures / "00000a.png").write_bytes((pictures / "00000.png").read_bytes())
    done = kmnist_command(*line)
    assert "answer 2 was of pictures/00001.png, and now pictures/00000a.png is there" in done.stderr
    (pictures / "00000a.png").unlink()
    done = kmnist_command(*line)
    assert done.stderr.endswith("5 of the pictures could not be read; the answers say why\n")
    answers = pd.read_parquet("pictures/answers.parquet")
    assert answers["picture"].tolist() == [f"pictures/{number:05}.png" for number in range(5_000)]
    assert answers["picture"][answers["error"] != ""].tolist() == [
        f"pictures/{number:05}.png" for number in range(999, 5_000, 1_000)
    ]
    assert kmnist_command(*line).returncode == 1  # anew, and its own file is no picture
    assert len(pd.read_parquet("pictures/answers.parquet")) == 5_000


def test_what_a_folder_holds_beside_pictures_is_said(saved: Path, drawn: Dataset, kmnist_command: Command) -> None:
    folder = Path("pictures")
    (folder / "inner").mkdir(parents=True)
    Image.fromarray(drawn.test.pixels[0]).save(folder / "inner" / "a.tif")
    for name in ("a.txt", "b.txt", "c.txt", "d.TXT", "README", "e\x1b[31m.json"):
        (folder / name).touch()
    (folder / "link").symlink_to("inner")
    done = kmnist_command("predict", "pictures", "--model", str(saved), "--format", "json")
    assert done.returncode == 0
    assert "pictures/inner/a.tif" in done.stdout
    assert "left out 7 files: 4 .txt (" in done.stderr
    assert ", ...); 1" in done.stderr
    assert "1 links to folders (link)" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_files_of_every_kind_are_answered_or_refused() -> None:
    found = damage(2_000, seed=1)
    assert all(answered + refused for answered, refused, _ in found.values())
