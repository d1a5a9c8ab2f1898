"""One contract for all that starts workers: here, and on a Ray cluster. Nothing is trained."""

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cloudpickle
import pytest

from kmnist.jobs.executor import Executor
from kmnist.jobs.local import LocalExecutor
from kmnist.tuning.pool import Job
from kmnist.tuning.worker import Worker
from tests.test_tune import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Habit:
    """A worker's work; ``folder`` is where it says what it does."""

    kind: str
    folder: Path

    def __call__(self, worker: Worker) -> int:
        self.say("begun", f"{worker.id} {worker.device} {worker.threads} {os.getpid()}")
        try:
            while self.kind == "never ends":
                time.sleep(0.01)
        except KeyboardInterrupt:
            self.say("interrupted", worker.id)
            raise
        if self.kind == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "raises":
            raise RuntimeError("a mistake of ours")
        return 3 if self.kind == "fails" else 0

    def say(self, name: str, text: str) -> None:
        (self.folder / f"{name}.new").write_text(text)
        (self.folder / f"{name}.new").rename(self.folder / name)

    def process(self) -> int:
        wait_until((self.folder / "begun").exists)
        return int((self.folder / "begun").read_text().split()[-1])


def start_ray() -> Executor:
    """As a job in a shell's background, whose processes inherit that they ignore SIGINT."""
    from kmnist.jobs.ray import RayExecutor

    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return RayExecutor(None, cpus=1, gpus=0, local_cpus=2)
    finally:
        signal.signal(signal.SIGINT, heard)


@pytest.fixture(scope="module", params=["local", "ray"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "local":
        with LocalExecutor(2) as local:
            yield local
        return
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray: pip install 'kmnist[ray]'")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a node imports kmnist, not its tests
    with start_ray() as ray:
        yield ray
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def ended(job: Job) -> int:
    job.join(180)
    assert job.exitcode is not None
    return job.exitcode


@pytest.mark.parametrize(("kind", "is_it"), [("works", 0), ("fails", 3), ("raises", 1), ("dies", -signal.SIGKILL)])
def test_how_a_worker_ended_is_told(executor: Executor, tmp_path: Path, kind: str, is_it: int) -> None:
    job = executor.start(Habit(kind, tmp_path), Worker("me", "command", "cpu", 1))
    assert ended(job) == is_it
    assert (tmp_path / "begun").read_text().startswith("me cpu 1 ")
    assert job.is_heard()  # one that has ended does not hang


def test_an_interrupted_worker_ends_in_its_own_way(executor: Executor, tmp_path: Path) -> None:
    habit = Habit("never ends", tmp_path)
    job = executor.start(habit, Worker("me", "command"))
    habit.process()
    assert job.exitcode is None
    job.terminate()
    assert ended(job) == 128 + signal.SIGTERM
    assert (tmp_path / "interrupted").read_text() == "me"


def test_one_that_is_stopped_is_not_heard_and_is_killed_all_the_same(executor: Executor, tmp_path: Path) -> None:
    habit = Habit("never ends", tmp_path)
    job = executor.start(habit, Worker("me", "command"))
    process = habit.process()
    for _ in range(3):
        wait_until(job.is_heard)
    os.kill(process, signal.SIGSTOP)
    wait_until(partial(silent_for_three_seconds, job))
    assert str(process) in job.place
    job.kill()
    assert ended(job) == -signal.SIGKILL
    wait_until(lambda: not Path(f"/proc/{process}").exists() or "Z" in Path(f"/proc/{process}/stat").read_text())


def silent_for_three_seconds(job: Job) -> bool:
    heard: Callable[[], bool] = job.is_heard
    for _ in range(6):
        if heard():
            return False
        time.sleep(0.5)
    return True


def test_workers_are_beside_each_other_and_have_a_place_each(executor: Executor, tmp_path: Path) -> None:
    assert executor.is_local
    assert executor.room() == 2
    habits = [Habit("never ends", tmp_path / str(number)) for number in range(2)]
    for habit in habits:
        habit.folder.mkdir()
    jobs = [executor.start(habit, Worker(str(place), "command")) for place, habit in enumerate(habits)]
    assert len({habit.process() for habit in habits}) == 2
    for job in jobs:
        job.terminate()
    assert [ended(job) for job in jobs] == [128 + signal.SIGTERM] * 2
