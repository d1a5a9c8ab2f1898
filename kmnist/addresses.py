"""Addresses of servers, databases and folders: with what is secret in them, and as they may be shown."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from kmnist.errors import SettingError

if TYPE_CHECKING:
    from sqlalchemy import URL

HIDDEN = "***"
_SCHEME = r"(?<![\w+.-])[A-Za-z][\w+.-]{0,40}:/{1,2}"  # a Path makes one slash of two
#: ``scheme://user:password@``. The password ends at the last ``@``, whatever stands before it; it may hold blanks, but
#: what looks like a port is none: ``http://host:5000 answers a@b``.
_PASSWORD = re.compile(rf"({_SCHEME}[^\s:/\[]*):(?:\S{{0,2000}}@|(?!\d*(?:[/?#\s.,;:)'\"]|$)).{{1,200}}@)")
#: ``https://token@``: to a database it is the user's name, and stays.
_TOKEN = re.compile(r"((?<![\w+.-])[\w+.-]{0,40}https?:/{1,2})[^\s/?#:@]{1,2000}@", re.IGNORECASE)
#: ``?sslpassword=...&token=...``, also where only the end of an address is quoted.
_QUERY = re.compile(r"([?&#;][\w.-]{0,40}(?:pass|pwd|secret|token|key|signature|credential|auth)[\w.-]*=)[^&\s]*", re.I)
#: ``password='...'``, as libpq takes it.
_KEYWORD = re.compile(
    r"((?<![\w?&#;])\w{0,40}(?:password|passwd|passphrase|pwd)\w*\s*=\s*)('(?:[^'\\]|\\.)*'|(?:\\.|[^\s\\])+)", re.I
)


def redact(text: str) -> str:
    """Text for a screen, a tag or a log: passwords and tokens in its addresses are hidden; host, user, database stay.

    Rather too much is hidden than too little, since nobody can tell ``@`` in a password from ``@`` behind it.

    Example:
        >>> redact("http://me:secret@host:5000 does not answer")
        'http://me:***@host:5000 does not answer'
    """
    text = _PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = _TOKEN.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    return _KEYWORD.sub(rf"\1{HIDDEN}", text)


def folder_address(folder: Path) -> str:
    """A folder as an address that MLflow reads as that folder, whatever characters its name has.

    A bare path will not do: MLflow decodes it, so that ``a%20b`` becomes ``a b``.

    Example:
        >>> folder_address(Path("/data/50%20off"))
        'file:///data/50%2520off'
    """
    return folder.absolute().as_uri()


def local_folder(address: str) -> Path | None:
    """The folder that an artifact location of MLflow's names: a ``file:`` address or a path; ``None``: it is elsewhere.

    Example:
        >>> local_folder("file:///data/50%2520off")
        PosixPath('/data/50%20off')
    """
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return None if re.match(r"[A-Za-z][\w+.-]*:", address) else Path(unquote(address))


def parse_database(address: str) -> "URL":
    """The parts of a database's address, whose password may hold characters that should have been percent-encoded.

    SQLAlchemy alone would take what follows the first ``@`` of a password for the host, and show it in errors.

    Raises:
        SettingError: it is not an address.
    """
    from sqlalchemy import make_url  # late: an error of the command line need not wait for it
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
        behind = f"{url.host}/{url.database}" if url.username else url.host  # a file may well be called a@b
        if "@" not in (behind or ""):  # as in redact: the last one ends the password
            return url
    except (ArgumentError, ValueError):
        pass
    before, at, host = address.rpartition("@")
    scheme, separator, credentials = before.partition("://")
    user, colon, password = credentials.partition(":")
    try:
        return make_url(f"{scheme}{separator}{user}{colon}{quote(password, safe='%')}{at}{host}")
    except (ArgumentError, ValueError):
        raise SettingError(
            f"{redact(address)}: must be an address like postgresql://user@host:5432/database, with special "
            "characters of the password percent-encoded (@ is %40)"
        ) from None
