"""``MlflowRun``: a run in MLflow that training neither waits for nor dies of."""

import json
import shutil
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.entities import Run as MlflowRunEntity
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES, MLFLOW_RUN_NOTE
from PIL import Image

from kmnist import record
from kmnist.addresses import redact
from kmnist.data import DataSpec, Images
from kmnist.errors import Stopped, TrackingError
from kmnist.network import SavedNetwork
from kmnist.tracking import code
from kmnist.tracking.heartbeat import Heartbeat, now_ms
from kmnist.tracking.journal import LOCK, Journal
from kmnist.tracking.records import Record
from kmnist.tracking.sender import Sender
from kmnist.tracking.system import environment_tags

#: How long the end of a run waits for a server that takes nothing, before it leaves the rest to ``kmnist sync``.
PATIENCE_SECONDS = 15.0


class MlflowRun:
    """A run of an experiment, written through a journal on disk by a thread of its own.

    It owns the run's status: used as a context manager it ends the run as FINISHED, as KILLED when interrupted
    (SIGINT, SIGTERM) or stopped on purpose (``Stopped``), and as FAILED, with the traceback as an artifact, on any
    other exception. Nothing is global: any number of runs can be written side by side.

    Args:
        client: from :func:`kmnist.tracking.connect.connect`.
        run: from ``create_run`` or ``reopen_run``.
        folder: of this run alone, for its journal; what an earlier process left unsent in it is sent first.

    Raises:
        TrackingError: another process is writing this run, or ``folder`` cannot be written; so in all methods.
    """

    def __init__(self, client: MlflowClient, run: MlflowRunEntity, folder: Path) -> None:
        self.id: str = run.info.run_id
        self._client = client
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / LOCK, timeout=1)  # whoever asks if it is held does so by holding it
            self._lock.acquire()
            self._journal = Journal(folder)
        except Timeout:
            raise TrackingError(f"another process is working on run {self.id} (it holds {folder / LOCK})") from None
        except OSError as error:
            raise TrackingError(f"{folder} cannot be written ({error}); name another with --work-dir") from error
        self._sender = Sender(client, self.id, self._journal, lives=True)
        self._heartbeat = Heartbeat(client, self.id)
        self._params = run.data.params
        self._note = run.data.tags.get(record.NOTE, "")
        if run.info.status != "RUNNING" or self._journal.unsent_bytes:  # resumed; the end it had may still be unsent
            self._write({"op": "status", "status": "RUNNING"})
        self._sender.start()
        self._heartbeat.start()

    def log_params(self, params: Mapping[str, str]) -> None:
        """Parameters, as text. Those that the run has are left as they are: MLflow refuses another spelling."""
        if missing := {name: text for name, text in params.items() if name not in self._params}:
            self._write({"op": "params", "params": missing})

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Tags, as text; a later value replaces an earlier one."""
        self._write({"op": "tags", "tags": {key: redact(text) for key, text in tags.items()}})

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Tags of a run below this one; of others the sender takes none."""
        self._write({"op": "tag_run", "run_id": run_id, "tags": {key: redact(text) for key, text in tags.items()}})

    def log_environment(self) -> None:
        """Versions, processor and commit as tags, and what was changed since that commit as an artifact."""
        tags = environment_tags()
        self.log_tags(tags)
        if tags.get("git.dirty") == "true" and (changes := code.patch()):
            self.log_file(changes, record.CODE_PATCH)

    def describe(self, about: Mapping[str, str]) -> None:
        """Tags of the user's; ``record.NOTE`` among them stands above every note of ours, also of a resumed run."""
        if about:
            self.log_tags(about)
        if record.NOTE in about:
            self._note = about[record.NOTE]
            self.log_note("")

    def log_note(self, markdown: str) -> None:
        """The text that the UI shows on top of the run, below that of the user."""
        self.log_tags({MLFLOW_RUN_NOTE: "\n\n".join(filter(None, (self._note, markdown)))})

    def log_data(self, split: str, images: Images, spec: DataSpec, source: str) -> None:
        """The images of one split as an input of the run, with the SHA-256 over all of them."""
        from mlflow.data.numpy_dataset import NumpyDataset  # late: it needs pandas, which loading a model does not

        digest = images.digest
        described = NumpyDataset(
            images.pixels[:1],  # for the schema alone: MLflow's own digest would cover 12.7 images
            HTTPDatasetSource(source) if source.startswith("http") else CodeDatasetSource({"drawn by": source}),
            targets=images.labels[:1],
            name=f"{spec.name}-{split}",
            digest=digest[:32],  # MLflow takes at most 36 characters
        ).to_dict()
        record = {key: described[key] for key in ("name", "digest", "source_type", "source", "schema")}
        record["profile"] = json.dumps(
            {"images": len(images), "per_class": np.bincount(images.labels).tolist(), "sha256": digest}
        )
        self._write({"op": "inputs", "context": split, "dataset": record})

    def log_evaluated(self, model_id: str, images: Images, name: str, metrics: Mapping[str, float], step: int) -> None:
        """A logged model as an input of the run, with what was measured of it on the images of that name."""
        record = {"op": "evaluated", "model_id": model_id, "metrics": dict(metrics), "step": step}
        self._write({**record, "timestamp_ms": now_ms(), "dataset": {"name": name, "digest": images.digest[:32]}})

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        """Metrics of one step; sending a point again with the same timestamp changes nothing."""
        stamp = timestamp_ms or now_ms()
        self._write({"op": "metrics", "metrics": dict(metrics), "step": step, "timestamp_ms": stamp})

    def log_file(self, content: bytes, path: str) -> None:
        """An artifact under ``path`` (``folder/name``)."""
        folder, _, name = path.rpartition("/")
        with self._told():
            payload = self._journal.payloads.new(name)
            payload.write_bytes(content)
            place = self._journal.payloads.keep(payload)
        self._write({"op": "file", "payload": place, "folder": folder})

    def log_image(self, image: Image.Image, key: str, step: int, timestamp_ms: int) -> None:
        """One image of a series that the UI shows with a step slider.

        The names are those of ``MlflowClient.log_image``, which cannot be used: it sends at once, and under a name that
        is another one each time.
        """
        same_again = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.id}/{key}/{step}")
        name = f"images/{key}+step+{step}+timestamp+{timestamp_ms}+{same_again}"
        for suffix, form in ((".png", "png"), ("+compressed.webp", "webp")):
            content = BytesIO()
            image.save(content, form)
            self.log_file(content.getvalue(), name + suffix)
        self.log_tags({MLFLOW_LOGGED_IMAGES: "true"})

    def log_model(self, saved: SavedNetwork, step: int, metrics: Mapping[str, float], timestamp_ms: int) -> None:
        """The network as a logged model, linked to ``metrics`` at ``step``; moved to the CPU, set to evaluation.

        It is named by its architecture.
        """
        from kmnist.tracking.model import model_name, save_model  # late: see log_data

        with self._told():
            payload = self._journal.payloads.new("model")
            save_model(saved, payload)
            place = self._journal.payloads.keep(payload)
        told = {"metrics": dict(metrics), "step": step, "timestamp_ms": timestamp_ms}
        self._write({"op": "model", "name": model_name(saved.config.arch), "payload": place, **told})

    def end(self, status: str, reason: str) -> None:
        """End the run as FINISHED, FAILED or KILLED, and wait until all has arrived or the server takes nothing."""
        self._heartbeat.stop()
        try:
            self.log_tags({record.END_REASON: reason})
            self._write({"op": "status", "status": status, "timestamp_ms": now_ms()})
            self._sender.drain(PATIENCE_SECONDS)
        except TrackingError:  # the disk is full: what is told last cannot go through it
            if self._sender.drain(PATIENCE_SECONDS):
                with suppress(Exception):  # kmnist reap will end it
                    self._client.set_tag(self.id, record.END_REASON, reason)
                    self._client.set_terminated(self.id, status)
        self._sender.stop()
        self._journal.close()
        self._lock.release()

    @property
    def unsent_bytes(self) -> int:
        """What has not arrived; after :meth:`end`, what waits for ``kmnist sync``."""
        return self._journal.unsent_bytes

    @property
    def is_complete(self) -> bool:
        """Whether all has arrived, and no tag of the run says otherwise."""
        return self._journal.is_complete

    @property
    def set_aside(self) -> int:
        """How many records the server refuses while it takes others; they are tried again now and then."""
        return self._journal.set_aside_count

    @property
    def trouble(self) -> str | None:
        """Why the server takes nothing now; ``None``: it does."""
        return self._sender.trouble

    def discard_folder(self) -> None:
        """Delete the run's folder with its checkpoint, once the run has FINISHED and everything has arrived."""
        if self.is_complete:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.end("FINISHED", "completed")
        elif isinstance(error, Stopped):
            self.end("KILLED", str(error))
        elif isinstance(error, KeyboardInterrupt):
            self.end("KILLED", f"interrupted ({type(error).__name__})")
        else:
            with suppress(TrackingError):  # the disk may be what failed
                self.log_file(redact("".join(traceback.format_exception(error))).encode(), record.TRACEBACK)
            self.end("FAILED", f"{type(error).__name__}: {error}"[:500])

    def _write(self, record: Record) -> None:
        with self._told():
            self._journal.append(record)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrackingError(
                f"{self.folder} cannot be written ({error}); free some space, and go on with: "
                f"kmnist train --resume {self.id}"
            ) from error
