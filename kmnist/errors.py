"""The exceptions of this package.

    KmnistError                  everything that we raise on purpose; the command prints it as one message
    ├── SettingError             a setting is unknown, malformed or out of its range
    ├── MissingExtra             what is asked for needs packages that a plain installation leaves out
    ├── DataError                a data file is missing, damaged or cannot be written
    ├── CheckpointError          a checkpoint is missing, unreadable, of other settings, or cannot be written
    ├── TrainingDiverged         the loss is no longer a number
    ├── TrackingError            the tracking server cannot be used, or a run is not what it should be
    ├── PictureError             a picture cannot be read, or nothing is on it
    │   └── NothingDrawn         nothing is on it
    ├── ModelError               a model is not there, cannot be loaded, or may not be promoted
    ├── StudyError               a study or its storage cannot be used, or is not what it should be
    ├── AddressError             an address to answer at is taken, or cannot be used
    ├── Incomplete               all is done, but the tracking server has not taken all of it
    └── Stopped                  a training was ended before its last epoch, on purpose

    Terminated                   SIGTERM or SIGHUP; like KeyboardInterrupt, no ``except Exception`` may swallow it

Every message shows the value, the rule and the way out.
"""

import signal


class KmnistError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingError(KmnistError):
    """A setting is unknown, malformed or out of its range."""


class MissingExtra(KmnistError):
    """What is asked for needs packages that a plain installation leaves out: the message says how to get them."""


class DataError(KmnistError):
    """A data file is missing, damaged or cannot be written."""


class CheckpointError(KmnistError):
    """A checkpoint is missing, unreadable, of other settings, or cannot be written."""


class TrainingDiverged(KmnistError):
    """The loss is no longer a number."""


class TrackingError(KmnistError):
    """The tracking server cannot be used, or a run is not what it should be."""


class PictureError(KmnistError):
    """A picture cannot be read, or nothing is on it."""


class NothingDrawn(PictureError):
    """Nothing is drawn on a picture."""


class ModelError(KmnistError):
    """A model is not there, cannot be loaded, or may not be promoted."""


class StudyError(KmnistError):
    """A study or its storage cannot be used, or is not what it should be."""


class AddressError(KmnistError):
    """An address to answer at is taken, or cannot be used."""


class Incomplete(KmnistError):
    """What was asked for is done, but the tracking server has not taken all of it: it waits on disk."""


class Stopped(KmnistError):
    """A training was ended before its last epoch, on purpose: the message says why."""


def root_cause(error: BaseException) -> BaseException:
    """The innermost reason of an error: "Connection refused" says more than its wrappings."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def in_one_line(error: BaseException) -> str:
    """All that an error says, in one line; the name of its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def root_reason(error: BaseException) -> str:
    """The innermost reason in one line; the name of its kind where it says nothing."""
    return (str(root_cause(error)).strip() or type(error).__name__).splitlines()[0]


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), or its terminal was closed (SIGHUP).

    Attributes:
        signum: of the signal.
    """

    def __init__(self, signum: int = signal.SIGTERM) -> None:
        super().__init__()
        self.signum = signum
