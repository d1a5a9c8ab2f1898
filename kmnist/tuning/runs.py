"""What a study needs of a tracker: runs for its trials, found again by their tags."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from kmnist.experiment import Run


class TrialRun(Run, AbstractContextManager["TrialRun"], Protocol):
    """The run of one trial. Leaving the ``with`` block ends it: ``Stopped`` and interruptions as KILLED."""

    @property
    def folder(self) -> Path:
        """For its checkpoint."""

    def discard_folder(self) -> None:
        """Delete the folder once everything has arrived."""


class StudyRun(Run, Protocol):
    """The study's own run."""

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Tags of a run below it."""


class StartRun(Protocol):
    """Makes runs below the study's own."""

    def __call__(self, name: str, tags: Mapping[str, str], again: bool) -> TrialRun:
        """A new run with ``tags``; with ``again``, the one that an earlier worker made with them, if it did.

        Raises:
            TrackingError: the server does not answer.
        """
