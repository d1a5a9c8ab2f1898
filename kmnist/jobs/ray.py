"""``RayExecutor``: workers are tasks of a Ray cluster, on its nodes.

Of Ray, its core only: it places workers and tells of their end. Trials are claimed, pruned, taken over and tracked as
with workers of this machine; Ray Tune would do all that another way, and tells a pruned trial as complete.
https://docs.ray.io/en/latest/ray-core/walkthrough.html
"""

import logging
import os
import pickle
import signal
import threading
import time
from contextlib import suppress
from typing import Any, Self

from kmnist.errors import StudyError, in_one_line
from kmnist.extras import require
from kmnist.jobs.executor import Work
from kmnist.text import complain
from kmnist.tuning.worker import Worker

BEAT_SECONDS = 1.0
INTERRUPTED = 128 + signal.SIGTERM
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker without a GPU of its own sees what its node has
}
#: Of a cluster for this command on this machine; Ray reads them when it is imported. The loopback address only, and
#: workers in this folder and environment: under `uv run` it would make a copy of the folder, and uv an environment.
OWN_CLUSTER = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


class Beats:
    """Where the signs of life of all workers arrive: a process beside the command's, on its node."""

    def __init__(self) -> None:
        self._beats: dict[str, tuple[int, str, int]] = {}

    def beat(self, worker: str, node: str, process: int) -> None:
        """Count one."""
        self._beats[worker] = (self._beats.get(worker, (0, "", 0))[0] + 1, node, process)

    def of(self, worker: str) -> tuple[int, str, int]:
        """How many there were, on which node and from which process; 0 where it has not begun."""
        return self._beats.get(worker, (0, "", 0))


class RayJob:
    """A task of a cluster.

    Args:
        ray: the package.
        worker: id of the worker.
        task: its future exit status.
        beats: the actor that hears it.
    """

    def __init__(self, ray: Any, worker: str, task: Any, beats: Any) -> None:
        self._ray, self._worker, self._task, self._beats = ray, worker, task, beats
        self._answer = beats.of.remote(worker)
        self._count, self._node, self._process = 0, "", 0
        self._killed = False
        self._ended: int | None = None

    @property
    def place(self) -> str:
        """See :class:`kmnist.tuning.pool.Job`, here and below."""
        return f"process {self._process} of node {self._node[:12]}"

    @property
    def exitcode(self) -> int | None:
        """What is not its own exit is a death: of its process, or of its node."""
        if self._killed:
            return -signal.SIGKILL
        if self._ended is None and self._ray.wait([self._task], timeout=0)[0]:
            self._ended = self._outcome()
        return self._ended

    def _outcome(self) -> int:
        try:
            return int(self._ray.get(self._task))
        except self._ray.exceptions.TaskCancelledError:
            return INTERRUPTED
        except self._ray.exceptions.RayTaskError as error:
            complain(f"worker {self._worker} ended: {in_one_line(error.cause or error)}")
            return 1
        except self._ray.exceptions.RayError:
            return -signal.SIGKILL

    def is_heard(self) -> bool:
        """Asks, and takes the answer when it is asked again: it never waits."""
        if self.exitcode is not None:
            return True
        if not self._ray.wait([self._answer], timeout=0)[0]:
            return False
        try:
            count, self._node, self._process = self._ray.get(self._answer)
        except self._ray.exceptions.RayError:
            return True  # the one who hears has gone, and is started anew
        finally:
            self._answer = self._beats.of.remote(self._worker)
        before, self._count = self._count, count
        return bool(count != before or count == 0)

    def terminate(self) -> None:
        """Ray raises ``KeyboardInterrupt`` in it, or takes it from the queue."""
        self._ray.cancel(self._task)

    def kill(self) -> None:
        """A process that is stopped hears neither Ray nor us: it is killed from beside it."""
        self._killed = True
        self._ray.cancel(self._task, force=True)
        if self._node:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            there = NodeAffinitySchedulingStrategy(self._node, soft=False)
            kill = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(_kill)
            kill.remote(self._process)

    def join(self, seconds: float) -> None:
        """Wait."""
        if not self._killed:
            self._ray.wait([self._task], timeout=seconds)


class RayExecutor:
    """Workers on the nodes of a cluster, as many as its resources allow; the others wait for a place.

    Args:
        address: of a cluster that was begun with ``ray start``; ``None``: that of ``RAY_ADDRESS``, else one on this
            machine, for this command.
        cpus: cores of each worker, or a share of one.
        gpus: of each worker; Ray keeps account of shares, it does not divide a GPU's memory.
        local_cpus: cores of the cluster that is begun here.

    Raises:
        MissingExtra: Ray is not installed.
        StudyError: no cluster answers.
    """

    def __init__(self, address: str | None, cpus: float, gpus: float, local_cpus: float) -> None:
        address = address or os.environ.get("RAY_ADDRESS")
        for name, text in {**ENVIRONMENT, **({} if address else OWN_CLUSTER)}.items():
            os.environ.setdefault(name, text)
        require("ray", "engine=ray")
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options: dict[str, Any] = {"address": address} if address else {
            "num_cpus": local_cpus, "include_dashboard": False, "_node_ip_address": "127.0.0.1"
        }  # fmt: skip
        try:
            ray.init(**options, logging_level=logging.ERROR, namespace="kmnist")
        except Exception as error:  # of a node that is slow to begin, it raises a bare one
            if address is None:
                raise StudyError(
                    f"engine=ray: no cluster could be begun on this machine ({in_one_line(error)}); try again when it "
                    "is less busy, or name one with --ray-address"
                ) from error
            raise StudyError(
                f"ray_address={address}: no cluster answers ({in_one_line(error)}); begin one with `ray start --head`, "
                "or leave --ray-address away for one on this machine"
            ) from error
        self._ray: Any = ray
        here = ray.get_runtime_context().get_node_id()
        beside = NodeAffinitySchedulingStrategy(here, soft=True)
        self._beats = ray.remote(Beats).options(num_cpus=0, max_restarts=-1, scheduling_strategy=beside).remote()
        # A process for each worker: what one leaves behind (threads, memory of a GPU) is none of the next one's.
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, max_calls=1, scheduling_strategy="SPREAD")
        self._run: Any = remote(_run)
        self._needs = {"CPU": cpus, "GPU": gpus}
        self._sent: tuple[Work, Any] | None = None

    @property
    def is_local(self) -> bool:
        """Whether the cluster has one node."""
        return len(self._addresses()) == 1

    @property
    def is_one_host(self) -> bool:
        """Whether its nodes have one address, as those of a simulated cluster have."""
        return len(set(self._addresses())) == 1

    def _addresses(self) -> list[str]:
        return [node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]]

    def room(self) -> int:
        """By the cores and GPUs of the nodes that there are now."""
        there = self._ray.cluster_resources()
        return max(int(min(there.get(name, 0.0) // each for name, each in self._needs.items() if each)), 1)

    def start(self, work: Work, worker: Worker) -> RayJob:
        """Queue a task. What all workers are told (the images among it) goes to each node once.

        As bytes: of arrays Ray would hand out views that cannot be written, which torch warns of.
        """
        if self._sent is None or self._sent[0] is not work:
            self._sent = (work, self._ray.put(self._ray.cloudpickle.dumps(work)))
        task = self._run.remote(self._sent[1], worker, self._beats)
        return RayJob(self._ray, worker.id, task, self._beats)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()


def _run(pickled: bytes, worker: Worker, beats: Any) -> int:
    import ray

    # Ray cancels by SIGINT, which a cluster ignores that was begun in a shell's background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    node, process = ray.get_runtime_context().get_node_id(), os.getpid()

    def send_heartbeats() -> None:
        while True:
            beats.beat.remote(worker.id, node, process)
            time.sleep(BEAT_SECONDS)

    threading.Thread(target=send_heartbeats, name="kmnist-heartbeat", daemon=True).start()
    try:
        work: Work = pickle.loads(pickled)
        return work(worker)
    except KeyboardInterrupt:
        return INTERRUPTED


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
