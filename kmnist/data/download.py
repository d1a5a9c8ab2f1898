"""Files of a data set: found in a folder, or fetched into it from the first mirror that has them."""

import logging
from collections.abc import Sequence
from pathlib import Path

from kmnist.errors import DataError, root_cause


class Unreachable(DataError):
    """The files are not at hand and no mirror answered."""


def find_file(folder: Path, name: str, *below: str) -> Path | None:
    """A file in ``folder`` or in a folder ``below`` it; where its name ends in ``.gz``, unpacked too."""
    places = (folder, *(folder / place for place in below))
    candidates = (place / form for place in places for form in dict.fromkeys((name, name.removesuffix(".gz"))))
    return next((path for path in candidates if path.is_file()), None)


def fetch_file(folder: Path, name: str, mirrors: Sequence[str], checksum: str | None, *, progress: bool) -> Path:
    """Fetch one file into ``folder``; it gets its name once it is whole. Each mirror is asked twice.

    Args:
        folder: made if need be.
        name: of the file, here and there.
        mirrors: URLs of folders.
        checksum: as pooch takes it, ``md5:...``; ``None`` where none was published.
        progress: show a progress bar.

    Raises:
        Unreachable: no mirror has it; the message says why, and what else can be done.
        DataError: ``folder`` cannot be written.
    """
    import pooch
    from requests import RequestException

    cannot_write = f"data folder {folder} cannot be written ({{}}); name another with --data-dir"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(cannot_write.format(error)) from error
    pooch.get_logger().setLevel(logging.ERROR)
    reasons = []
    for mirror in mirrors:
        library = pooch.create(folder, mirror, registry={name: checksum}, retry_if_failed=1)
        try:
            return Path(library.fetch(name, downloader=pooch.HTTPDownloader(progressbar=progress, timeout=(5, 30))))
        except (RequestException, ValueError) as error:  # unreachable, or the wrong checksum both times
            reasons.append(f"{mirror}: {root_cause(error)}")
        except OSError as error:
            raise DataError(cannot_write.format(error)) from error
    raise Unreachable(
        f"{name} is not in {folder} and could not be fetched:\n  " + "\n  ".join(reasons) + "\n"
        "Put the files there, name their folder (--data-dir), or take the drawn stand-in (--dataset sample)."
    )
