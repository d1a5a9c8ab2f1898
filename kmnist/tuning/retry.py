"""Waiting for a storage that does not answer: connections are cut, servers are started anew, all places are taken."""

import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError, TimeoutError

#: What Optuna raises when a database does not answer.
STORAGE_IS_AWAY = (StorageInternalError, SQLAlchemyError)
AWAY_SECONDS = 600.0  # that a storage may be away
RETRY_SECONDS = 0.5
#: What passes; the others are there to stay: a value that no column takes, a table that is not there.
_PASSES = (InterfaceError, InternalError, OperationalError, TimeoutError)

T = TypeVar("T")


def wait_out(act: Callable[[], T], *, again: Callable[[], None] = lambda: None) -> T:
    """Do something with a storage, anew where its connection is cut in the middle.

    Args:
        act: may be done more than once. An answer may be lost of something that the storage has done.
        again: called before each but the first time.

    Raises:
        one of STORAGE_IS_AWAY: the storage has not answered for ten minutes, or refuses for good.
    """
    begun, tried = time.monotonic(), False
    while True:
        try:
            if tried:
                again()
            tried = True
            return act()
        except STORAGE_IS_AWAY as error:
            if not passes(error) or time.monotonic() - begun > AWAY_SECONDS:
                raise
        time.sleep(RETRY_SECONDS)


def passes(error: BaseException) -> bool:
    """Whether it is worth while to try again."""
    return isinstance(error, _PASSES) or isinstance(error.__cause__, _PASSES)


#: What a server says that has no place free, is just being started, or cuts a connection that is being made: none of
#: them has an SQLSTATE.
_REFUSED_FOR_NOW = (
    "too many",
    "connection slots",
    "no more connections",
    "starting up",
    "shutting down",
    "recovery",
    "terminating connection",
    "server closed the connection",
)


def is_there(error: BaseException) -> bool:
    """Whether a server has answered, but has no place free, is just being started, or has cut the connection."""
    found = error if isinstance(error, OperationalError) else error.__cause__
    if not isinstance(found, OperationalError):
        return False
    return found.connection_invalidated or any(words in str(found) for words in _REFUSED_FOR_NOW)
