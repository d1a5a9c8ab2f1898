"""Addresses of servers and databases, as they may be shown."""

import re
from urllib.parse import urlsplit


def without_password(uri: str) -> str:
    """A URI that can be shown: ``postgresql://me:***@host/db``."""
    parts = urlsplit(uri)
    if not parts.password:
        return uri
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")).geturl()


def redact(text: str) -> str:
    """Text for a screen, a tag or a log: the passwords of the addresses in it are hidden."""
    return re.sub(r"(\w[\w+.-]*://[^\s/:@]*):[^\s/@]*@", r"\1:***@", text)
