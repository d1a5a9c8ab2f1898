"""Addresses of servers and databases, as they may be shown."""

from urllib.parse import urlsplit


def without_password(uri: str) -> str:
    """A URI that can be shown: ``postgresql://me:***@host/db``."""
    parts = urlsplit(uri)
    if not parts.password:
        return uri
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")).geturl()
