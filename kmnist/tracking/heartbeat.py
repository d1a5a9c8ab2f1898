"""A sign of life: a tag that a run's process renews, so that others can tell a long epoch from a dead process."""

import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from mlflow import MlflowClient

TAG = "heartbeat"
BEAT_SECONDS = 20.0
LATEST_MS = 32_503_680_000_000  # the year 3000: what follows is no time that could be written as a date everywhere


def now_ms() -> int:
    """Unix time in milliseconds, as MLflow has it."""
    return time.time_ns() // 1_000_000


def heartbeat() -> dict[str, str]:
    """The tag of a run that lives now: milliseconds since 1970."""
    return {TAG: str(now_ms())}


def last_beat_ms(tags: Mapping[str, str]) -> int | None:
    """When a run gave its last sign of life, by the clock of its machine; ``None`` if that is not what the tag says."""
    text = tags.get(TAG, "")
    return int(text) if re.fullmatch(r"[0-9]{1,14}", text) and int(text) < LATEST_MS else None


class Heartbeat:
    """Renews the tag of a run, in a thread of its own: the sender may be busy with one file for a minute.

    It does not go through the journal: a sign of life that waited out an outage would tell of a time long past.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to beat."""
        threading.Thread(target=self._beat, name="kmnist-heartbeat", daemon=True).start()

    def stop(self) -> None:
        """No beat begins from now on; one that a hanging server holds is not waited for."""
        self._stop.set()

    def _beat(self) -> None:
        while not self._stop.is_set():
            with suppress(Exception):  # the server is away; nothing but the time is lost
                self._client.set_tag(self._run_id, TAG, heartbeat()[TAG])
            self._stop.wait(BEAT_SECONDS)
