"""Pictures and arrays made to hurt: none takes the memory or the time that it asks for, runs code or leaves a file."""

import base64
import gzip
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kmnist.data import Dataset
from kmnist.data.idx import idx_bytes, read_idx
from kmnist.data.kmnist import SPEC
from kmnist.errors import DataError
from kmnist.inference import Classifier, read_picture, to_kmnist
from kmnist.inference.serving import BadRequest, Served
from tests.peak import peak
from tests.reading import read
from tests.test_pictures import encoded

MEGABYTES, SECONDS = 200, 5


class Code:
    """Pickled, it makes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it ran",)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: tuple[bytes, bytes], width: int = 28, height: int = 28) -> bytes:
    """A gray picture with more chunks after its header."""
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = (b"IDAT", zlib.compress(b"\0" + bytes(28 * 29)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in (head, *chunks, body, (b"IEND", b"")))


def jpeg_of_many_scans() -> bytes:
    content = encoded(Image.new("L", (3_000, 3_000), 7), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 20_000 + content[-2:]


def jpeg_of_a_size(width: int, height: int) -> bytes:
    content = bytearray(encoded(Image.new("L", (28, 28)), "JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def webp_of_the_largest_size() -> bytes:
    content = bytearray(encoded(Image.new("RGB", (28, 28), "red"), "WEBP", lossless=True))
    place = content.index(b"VP8L") + 9  # after its length and signature: width - 1 and height - 1 in 14 bits each
    content[place : place + 4] = struct.pack("<I", 16_382 | 16_382 << 14)
    return bytes(content)


def bmp_of_a_size(width: int, height: int) -> bytes:
    content = bytearray(encoded(Image.new("L", (28, 28)), "BMP"))
    content[18:26] = struct.pack("<II", width, height)
    return bytes(content)


def tiff(tags: dict[int, int], without: tuple[int, ...] = (), counts: dict[int, int] | None = None) -> bytes:
    """A gray TIFF of 28 x 28 in one strip, but for these tags (TIFF 6.0, section 2)."""
    usual = {256: 28, 257: 28, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 28, 279: 784}
    entries = sorted(({tag: value for tag, value in usual.items() if tag not in without} | tags).items())
    directory = b"".join(struct.pack("<HHII", tag, 4, (counts or {}).get(tag, 1), value) for tag, value in entries)
    return struct.pack("<2sHI", b"II", 42, 792) + bytes(784) + struct.pack("<H", len(entries)) + directory + bytes(4)


def deflated(content: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(content) for _ in range(times)) + packer.flush()


ZEROS = bytes(1_000_000)
PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "PNG of 2**31 x 2**31": (lambda: png(width=2**31 - 1, height=2**31 - 1), "exceeds limit"),
    "PNG of 100 million pixels": (lambda: png(width=10_000, height=10_000), "pixels"),
    "PNG of 400 million pixels": (lambda: encoded(Image.new("1", (20_000, 20_000))), "exceeds limit"),
    "PNG with 200 megabytes of text": (
        lambda: png((b"zTXt", b"Comment\0\0" + deflated(ZEROS, 200))),
        "Decompressed data too large",
    ),
    "PNG with 200 megabytes of colour profile": (
        lambda: png((b"iCCP", b"icc\0\0" + deflated(ZEROS, 200))),
        "Decompressed data too large",
    ),
    "PNG cut short": (lambda: png()[:50], "damaged"),
    "PNG whose chunk is longer than the file": (
        lambda: png()[:8] + b"\x7f\xff\xff\xffIHDR" + bytes(20),
        "damaged|not a",
    ),
    "PDF that is a PNG, too": (lambda: b"%PDF-1.7\n" + png(), "not a picture"),
    "PNG that is an archive, too": (lambda: png() + npz_bytes({"../x.npy": npy_bytes()}), "nothing is drawn"),
    "PPM, which is not on the list": (lambda: encoded(Image.new("L", (28, 28)), "PPM"), "not a picture"),
    "GIF of 65535 x 65535": (lambda: b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\1\0\1\0\0\2\0;", "exceeds limit"),
    "GIF whose frame is larger than itself": (
        lambda: b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\x30\x2a\x30\x2a\0\2\0;",
        "at most 50,000,000 are read",
    ),
    "GIF of a million comments": (
        lambda: b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\1x\0" * 1_000_000,
        "before its first frame",
    ),
    "JPEG of a gigabyte's work in EXIF": (
        lambda: b"\xff\xd8" + (b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * 1_000,
        "a JPEG with EXIF in 1000 parts",
    ),
    "BMP of 20,000 x 20,000": (lambda: bmp_of_a_size(20_000, 20_000), "exceeds limit"),
    "BMP that is cut short": (lambda: bmp_of_a_size(7_000, 7_000), "damaged"),
    "TIFF of 20,000 x 20,000": (lambda: tiff({256: 20_000, 257: 20_000}), "exceeds limit"),
    "TIFF of tiles of 30,000 x 30,000": (
        lambda: tiff({259: 8, 322: 30_000, 323: 30_000, 324: 8, 325: 9}, without=(273, 278, 279)),
        "a TIFF of tiles of 900,000,000 pixels",
    ),
    "TIFF of 2**30 values in a tag": (lambda: tiff({}, counts={258: 2**30}), "damaged|not a picture"),
    "TIFF whose strip is not there": (lambda: tiff({273: 2**31}), "damaged"),
    "AVIF without its picture": (lambda: encoded(Image.new("L", (28, 28)), "AVIF")[:60], "damaged|not a picture"),
    "HEIC without its picture": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "HEIC|not a picture"),
    "PostScript that Ghostscript would run": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%touch x) (w) file\n", "not a"),
    "WebP of 16383 x 16383": (
        webp_of_the_largest_size,
        "exceeds limit",
    ),
    "JPEG of 65500 x 65500": (lambda: jpeg_of_a_size(65_500, 65_500), "exceeds limit"),
    "JPEG of 20,000 scans": (jpeg_of_many_scans, "scans: at most 100 are read"),
    "JPEG whose EXIF is noise": (
        lambda: encoded(Image.new("L", (28, 28)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(256))),
        "nothing is drawn|damaged",
    ),
    "nothing": (lambda: b"", "not a picture"),
}


def npy_bytes(
    header: str = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 28, 28)}", values: int = 1568
) -> bytes:
    """An .npy file, whatever its header says."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + bytes(values)


def object_bytes() -> bytes:
    content = BytesIO()
    np.save(content, np.array([Code()], dtype=object), allow_pickle=True)
    return content.getvalue()


def shaped(shape: str, kind: str = "'|u1'", columns_first: bool = False) -> bytes:
    return npy_bytes(f"{{'descr': {kind}, 'fortran_order': {columns_first}, 'shape': {shape}}}")


def npz_bytes(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


@lru_cache
def bomb(images: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """So many black images, packed."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive, archive.open("images.npy", "w") as member:
        member.write(shaped(f"({images}, 28, 28)")[:-1568])
        for _ in range(images * 784 // len(ZEROS) + 1):
            member.write(ZEROS)
    return content.getvalue()


def lying_npz() -> bytes:
    """It says that it is packed to a gigabyte, so that what it unpacks to would seem little."""
    content = bytearray(bomb(300_000))
    place = content.rindex(b"PK\x01\x02")
    content[place + 20 : place + 24] = struct.pack("<I", 10**9)
    return bytes(content)


def encrypted_npz() -> bytes:
    content = bytearray(npz_bytes({"a.npy": npy_bytes()}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    return bytes(content)


def overlapping_npz() -> bytes:
    """Many members over the same bytes, after David Fifield's zip bomb (https://www.bamsoftware.com/hacks/zipbomb/)."""
    content = npz_bytes({"a.npy": npy_bytes()})
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry, count = content[start:end], 2_000
    tail = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(entry) * count, start, 0)
    return content[:start] + entry * count + tail


ARRAYS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "archive of 300,000 black images": (".npz", lambda: bomb(300_000), "more than 100 times as much is not unpacked"),
    "archive that lies about its size": (".npz", lying_npz, "more than 100 times|damaged"),
    "archive packed with bz2": (".npz", lambda: bomb(300_000, zipfile.ZIP_BZIP2), "packed in another way"),
    "archive packed with LZMA": (".npz", lambda: bomb(30_000, zipfile.ZIP_LZMA), "packed in another way"),
    "archive with a path out of it": (".npz", lambda: npz_bytes({"../../out.npy": npy_bytes()}), "nothing is drawn"),
    "archive of nothing": (".npz", lambda: npz_bytes({}), "an archive without arrays"),
    "archive with a password": (".npz", encrypted_npz, "password required"),
    "archive of overlapping members": (".npz", overlapping_npz, "nothing is drawn|damaged"),
    "archive of code": (".npz", lambda: npz_bytes({"a.npy": object_bytes()}), "an array of object"),
    "archive of something else": (".npz", lambda: npz_bytes({"a.txt": b"text"}), "damaged"),
    "array of code": (".npy", object_bytes, "an array of object"),
    "code alone": (".npy", lambda: pickle.dumps(Code()), "damaged"),
    "archive in an array's name": (".npy", lambda: npz_bytes({"a.npy": npy_bytes()}), "damaged"),
    "array without end": (".npy", lambda: shaped("(2, 28, 28)")[:-1], "cut short"),
    "array with more": (".npy", lambda: shaped("(2, 28, 28)") + b"x", "longer than its header promises"),
    "array of 10**18 images": (
        ".npy",
        lambda: shaped("(10**18, 28, 28)".replace("10**18", str(10**18))),
        "not unpacked",
    ),
    "array of 10**12 images without pixels": (".npy", lambda: shaped("(1000000000000, 0, 28)"), "must be uint8"),
    "array of -1 images": (".npy", lambda: shaped("(-1, 28, 28)"), "must be uint8"),
    "array of true images": (".npy", lambda: shaped("(True, 28, 28)"), "cut short|damaged|drawn"),
    "array of one huge image": (".npy", lambda: shaped("(1, 100000, 100000)"), "at most 50,000,000 are read"),
    "array column by column": (".npy", lambda: shaped("(1000000000, 1, 1)", columns_first=True), "not unpacked"),
    "array of records": (".npy", lambda: shaped("(2,)", "[('a', '|u1'), ('b', '|O')]"), "must be uint8|damaged"),
    "array whose header is deep": (".npy", lambda: npy_bytes("(" * 5_000), "damaged"),
    "array whose header is no Python": (".npy", lambda: npy_bytes("{'descr': '''|u1"), "damaged"),
    "array whose header is code": (".npy", lambda: npy_bytes("__import__('os').mkdir('it ran')"), "damaged"),
    "array of another version": (".npy", lambda: b"\x93NUMPY\x09\x09" + npy_bytes()[8:], "damaged"),
    "IDX of 2**128 values": (".gz", lambda: gzip.compress(b"\0\0\x08\x04" + b"\xff" * 16), "shape|unpacked"),
    "IDX that unpacks to a gigabyte": (
        ".gz",
        lambda: (
            b"".join(gzip.compress(part) for part in (b"\0\0\x08\x03" + struct.pack(">III", 1_275_510, 28, 28), b""))
            + gzip.compress(ZEROS) * 1_000
        ),
        "more than 100 times|nothing is drawn",
    ),
    "IDX longer than it says": (
        ".gz",
        lambda: gzip.compress(idx_bytes(np.ones((1, 28, 28), np.uint8)) + b"x"),
        "longer",
    ),
    "IDX without its end": (
        ".gz",
        lambda: gzip.compress(idx_bytes(np.ones((9, 28, 28), np.uint8)))[:-9],
        "cannot be read",
    ),
    "IDX cut in its header": ("", lambda: b"\0\0\x08\x03\0\0", "cut short in its header"),
    "IDX of floats": ("", lambda: b"\0\0\x0d\x03" + bytes(12), "unsigned bytes"),
}


@pytest.fixture(autouse=True)
def nothing_else_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a test may write into; its surroundings stay as they are."""
    inner = tmp_path / "one" / "two"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    yield inner
    assert {path.name for path in inner.iterdir()} <= {
        "hostile",
        "hostile.npy",
        "hostile.npz",
        "hostile.gz",
        "hostile.png",
    }
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def told(path: Path) -> list[str]:
    return [found.error for found in read(path)]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", PICTURES)
def test_a_hostile_picture_is_one_error(name: str, nothing_else_is_written: Path) -> None:
    make, message = PICTURES[name]
    path = nothing_else_is_written / "hostile.png"
    path.write_bytes(make())
    [error] = told(path)
    assert any(part in error for part in message.split("|")), error
    megabytes, seconds = peak(lambda: told(path))
    assert megabytes < MEGABYTES
    assert seconds < SECONDS


@pytest.mark.parametrize("name", ARRAYS)
def test_a_hostile_array_is_told(name: str, nothing_else_is_written: Path) -> None:
    suffix, make, message = ARRAYS[name]
    path = nothing_else_is_written / f"hostile{suffix}"
    path.write_bytes(make())
    megabytes, seconds = peak(lambda: told(path))
    assert megabytes < MEGABYTES
    assert seconds < SECONDS
    assert any(part in told(path)[-1] for part in message.split("|")), told(path)[-1]


def test_a_promise_that_an_idx_file_cannot_keep_is_not_believed(nothing_else_is_written: Path) -> None:
    """Data sets are read whole."""
    path = nothing_else_is_written / "hostile.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x01\xff\xff\xff\xff" + bytes(1_000)))
    with pytest.raises(DataError, match="promises 4,294,967,295: it is cut short"):
        read_idx(path)
    path.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\1" + bytes(500_000_000), 1))
    with pytest.raises(DataError, match="holds more, its header"):
        read_idx(path)
    megabytes, _ = peak(lambda: read_idx(path), raising=DataError)
    assert megabytes < 20


def drawing(side: int) -> "np.typing.NDArray[np.uint8]":
    """A large cross on a large paper."""
    picture = np.full((side, side), 250, np.uint8)
    picture[side // 4 : 3 * side // 4, side // 2 - side // 50 : side // 2 + side // 50] = 20
    picture[side // 2 - side // 50 : side // 2 + side // 50, side // 4 : 3 * side // 4] = 20
    return picture


@pytest.mark.parametrize(
    ("mode", "form", "most"),
    [("L", "PNG", 250), ("RGB", "PNG", 450), ("RGBA", "PNG", 350), ("I;16", "PNG", 350), ("RGB", "JPEG", 60)],
)
def test_a_photograph_of_49_million_pixels_takes_little_memory(mode: str, form: str, most: int) -> None:
    gray = drawing(7_000)
    image = Image.fromarray(gray.astype(np.uint16) * 257 if mode == "I;16" else gray)
    if mode in ("RGB", "RGBA"):
        image = image.convert(mode)
    content = encoded(image, form, compress_level=1)  # which JPEG does not know, and takes no offence at
    del image
    megabytes, seconds = peak(lambda: to_kmnist(read_picture(content)))
    assert megabytes < most
    assert seconds < 10
    small = to_kmnist(drawing(700))
    assert np.corrcoef(to_kmnist(read_picture(content)).reshape(-1), small.reshape(-1))[0, 1] > 0.99


def served() -> Served:
    return Served(Classifier(lambda pixels: torch.zeros(len(pixels), 10).log_softmax(dim=1), SPEC, "even"))


def as_text(image: Image.Image) -> str:
    return base64.b64encode(encoded(image, compress_level=1)).decode()


def test_a_request_takes_no_more_memory_than_it_may(drawn: Dataset) -> None:
    bomb = as_text(Image.fromarray(drawing(7_000)))
    assert len(bomb) < 1_000_000
    large = as_text(Image.fromarray(drawing(2_000)))
    for request, message in [
        ([bomb], "picture 0: 7000 x 7000 pixels: at most 4,000,000 are read"),
        ([large] * 13, "picture 12: 2000 x 2000 pixels: at most 2,000,000 are read"),
        ([""] * 10_001, "10,001 pictures: at most 10,000 are read at once"),
    ]:
        with pytest.raises(BadRequest, match=message):
            served().predict(request)
        megabytes, seconds = peak(partial(served().predict, request), raising=BadRequest)
        assert megabytes < 100
        assert seconds < 10
    coloured = as_text(Image.fromarray(np.dstack([drawing(2_000)] * 4)))
    megabytes, seconds = peak(lambda: served().predict([large] * 11 + [coloured]))
    assert megabytes < 100
    assert seconds < 10
