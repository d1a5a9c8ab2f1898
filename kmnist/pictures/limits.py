"""What a picture may ask for, looked at before it is decoded: a small file can claim to have billions of pixels."""

from PIL import Image

from ..errors import PictureError

MOST_PIXELS = 50_000_000  # a photograph has 12 to 50 million
MOST_BYTES = 200_000_000  # of a file; one with so many pixels has 20 to 150 million
TOO_LARGE = f"a file of more than {MOST_BYTES:,} bytes; shrink the picture"
MOST_UNPACKED = 100  # times its packed size, of what is not small; pictures shrink to a half or a tenth
SMALL = 10_000_000  # bytes
MOST_SCANS = 100  # of a JPEG; a progressive one has about 10, and each costs a pass over all pixels
MOST_COMMENTS = 1_000_000  # bytes of a GIF before its first frame: to put comments together takes the square of them
MOST_EXIF = 100  # parts of a JPEG's, of 64 kB each; put together in the same way
MOST_TILE = 2**24  # pixels of a TIFF's tile, which may be larger than the picture; usual are 256 x 256
TIFF_STRIPS, TIFF_TILES, TILE_WIDTH, TILE_HEIGHT = 273, 324, 322, 323  # tags, of TIFF 6.0


def check_content(content: bytes) -> None:
    """Before it is opened.

    Raises:
        PictureError: it is too large, or has more comments than picture.
    """
    if len(content) > MOST_BYTES:
        raise PictureError(TOO_LARGE)
    if content[:4] == b"GIF8" and _first_frame(content) > MOST_COMMENTS:
        raise PictureError(f"a GIF of more than {MOST_COMMENTS:,} bytes before its first frame; save it anew")
    if content[:2] == b"\xff\xd8" and (parts := content.count(b"Exif\0\0")) > MOST_EXIF:
        raise PictureError(f"a JPEG with EXIF in {parts} parts: at most {MOST_EXIF} are read; save it anew")


def check_opened(image: Image.Image, content: bytes, most_pixels: int) -> None:
    """After its header was read, and before anything is decoded.

    Raises:
        PictureError: it has too many pixels, or costs far more than its pixels.
    """
    if image.width * image.height > most_pixels:
        raise PictureError(f"{image.width} x {image.height} pixels: at most {most_pixels:,} are read; shrink it")
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    if (tile := int(tags.get(TILE_WIDTH, 0)) * int(tags.get(TILE_HEIGHT, 0))) > MOST_TILE:
        raise PictureError(f"a TIFF of tiles of {tile:,} pixels: at most {MOST_TILE:,} are read; save it anew")
    if image.format in ("JPEG", "MPO") or image.info.get("compression") in ("jpeg", "tiff_jpeg"):
        parts = len(tags.get(TIFF_STRIPS) or tags.get(TIFF_TILES) or ())  # each a JPEG of its own
        if (scans := content.count(b"\xff\xda") - parts) > MOST_SCANS:
            raise PictureError(f"a JPEG of {scans} scans: at most {MOST_SCANS} are read; save it anew")


def _first_frame(content: bytes) -> int:
    """Where the first frame of a GIF begins, or its end (GIF89a, sections 18 to 26)."""
    at = 13 + (3 * 2 ** ((content[10] & 7) + 1) if len(content) > 10 and content[10] & 0x80 else 0)
    while at <= MOST_COMMENTS and content[at : at + 1] != b"," and at < len(content):
        if content[at] != 0x21:  # Pillow looks on byte by byte
            at += 1
            continue
        at += 2
        while at < len(content) and content[at]:
            at += 1 + content[at]
        at += 1
    return at
