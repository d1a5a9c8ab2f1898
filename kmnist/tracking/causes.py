"""What to do about an error of a tracking server or database: one table of causes, looked through from the top."""

import re
from typing import NamedTuple


class Cause(NamedTuple):
    """A kind of error.

    Attributes:
        words: by which it is known, in what an error says.
        way_out: what to do about it.
    """

    words: re.Pattern[str]
    way_out: str


def _cause(words: str, way_out: str) -> Cause:
    return Cause(re.compile(words, re.IGNORECASE), way_out)


ANOTHER = "name another with --tracking-uri or MLFLOW_TRACKING_URI"
FORMS = "http://HOST:PORT, https://HOST, sqlite:///FILE or postgresql://USER@HOST/DATABASE"
#: What is not below: most likely nobody is there.
AWAY = f"start the server, {ANOTHER}, or track into a local file: --tracking-uri sqlite:///mlflow.db"
CAUSES = (
    # The way to a server.
    _cause(
        "CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "the certificate is not known here: name the file of the authority that signed it (.pem) in "
        "MLFLOW_TRACKING_SERVER_CERT_PATH",
    ),
    _cause(
        "WRONG_VERSION_NUMBER|HTTP_REQUEST|record layer failure",
        "this address answers without encryption: write http:// instead of https://",
    ),
    _cause(
        "HTTP request (was )?sent to (an )?HTTPS (port|server)|HTTPS port",
        "this address answers encrypted only: write https:// instead of http://",
    ),
    _cause(
        r"\b401\b|unauthori[sz]ed|credentials",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what the server takes",
    ),
    _cause(r"\b403\b.*host|DNS rebinding", "the server must be started with this host among its --allowed-hosts"),
    _cause(r"\b403\b|permission_denied", "this user may not do that: ask whoever runs the server for the permission"),
    _cause(r"\b429\b|Too Many Requests", "the server asks to be left alone for a while: try again later"),
    _cause(
        r"\b50[234]\b|Bad Gateway|Gateway Time",
        "a proxy answers, and the server behind it does not: start that server, or wait until it is up",
    ),
    _cause(r"\b500\b|Internal Server Error", "the server's own log says why"),
    _cause(
        r"\b40[45]\b|<!doctype|<html|Expecting value|not in a valid JSON format",
        "no MLflow answers at this address: is its path whole, and is there a page to log in at in front of it?",
    ),
    _cause(r"\b(413|too large)\b", "a proxy in front of the server limits the size of a request: raise it there"),
    _cause(
        "resolve|Name or service not known|getaddrinfo|nodename|No address associated",
        f"there is no host of that name: check its spelling, or {ANOTHER}",
    ),
    _cause(
        "unsupported URI|Could not parse|Can't load plugin|not currently supported|maintenance mode|InvalidSchema",
        f"an address must be {FORMS}",
    ),
    # A database.
    _cause("database is locked", "another program writes to it, or was stopped while it did: end that one, or wait"),
    _cause(
        "file is not a database|malformed|file is encrypted",
        "the file is damaged, or is none of sqlite's: put back a copy of it, or name another with --tracking-uri",
    ),
    _cause(
        "readonly database|read-only|unable to open database file|Permission denied|Errno 13",
        f"it cannot be written by this user: change who may, or {ANOTHER}",
    ),
    _cause("disk is full|No space left|Errno 28|quota", "make room on the disk that it lies on, and try again"),
    _cause(
        "password authentication failed|no password supplied|Access denied for user|role .* does not exist",
        "check the user's name and password in the address, with special characters percent-encoded (@ is %40)",
    ),
    _cause('database ".*" does not exist|Unknown database', "make that database first: createdb NAME"),
    _cause(
        "too many (clients|connections)|connection slots|QueuePool limit",
        "the database has no connection to spare: end other programs, or raise its limit (max_connections)",
    ),
    _cause(
        r"No module named '(psycopg\w*|MySQLdb|pymysql)'",
        "install the driver of that database, such as: pip install 'kmnist[postgres]' for postgresql+psycopg://",
    ),
    _cause(r"Errno (2|20|21)\b", f"its folder cannot be made there: {ANOTHER}"),
)


def way_out_of(said: str) -> str | None:
    """What to do about an error by what it says; ``None``: it is of no kind in the table."""
    return next((cause.way_out for cause in CAUSES if cause.words.search(said)), None)
