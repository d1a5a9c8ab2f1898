"""Which kinds of pictures are read, and by what: Pillow knows many more, some of which start other programs."""

from functools import cache

from PIL import features

from ..errors import PictureError

#: Those that Pillow always decodes. Of one that moves, the first frame is read.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
READABLE = ", ".join((*FORMATS, "AVIF", "HEIC"))
#: Of files that are pictures.
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif")
)
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
MOST_BRANDS = 64  # bytes of them that are looked at


def formats_of(content: bytes) -> tuple[str, ...]:
    """The names of Pillow's decoders that may read a file.

    Raises:
        PictureError: it is a picture for which a library is missing; the message says which.
    """
    if content[4:8] != b"ftyp":
        return FORMATS
    # ISO/IEC 14496-12, 4.3: a box of brands says by which rules the rest is written.
    box = content[8 : min(int.from_bytes(content[:4]), MOST_BRANDS)]
    brands = {box[at : at + 4] for at in range(0, len(box), 4)}
    if brands & AVIF_BRANDS:
        if not features.check("avif"):
            raise PictureError("an AVIF picture: pip install 'pillow>=11.3' reads it; or save it as PNG or JPEG")
        return ("AVIF",)
    if brands & HEIC_BRANDS:
        if not reads_heic():
            raise PictureError("a HEIC picture: pip install pillow-heif reads it; or save it as PNG or JPEG")
        return ("HEIF",)
    return FORMATS


@cache
def reads_heic() -> bool:
    """Whether there is a library for it; Pillow knows it from then on."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True
