"""Trainings whose tracking server is killed, frozen, slowed or restarted, and that are killed themselves: what is lost?

Each round trains in a process of its own while something happens to the server, in every second round to the training,
too, which is then resumed. What the server has at the end is compared with an undisturbed run of the same seed.

python -m experiments.benchmarks.faults --rounds 50 --seed 0

With --requests, it is single requests that fail, of trainings, studies and registrations (the last need Kuzushiji-MNIST
in KMNIST_DATA_DIR).

Needs what the tests need: pip install -e '.[all]' --group test, and for --postgres a PostgreSQL.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import cyclopts

from experiments.benchmarks import request_faults
from experiments.benchmarks.comparison import Findings, blocked_seconds, compare, take_snapshot
from kmnist.checkpoint import FILE_NAME, load_checkpoint
from kmnist.tracking import connect, list_pending, send_pending
from tests.postgres import Postgres
from tests.servers import MlflowServer

app = cyclopts.App(help=__doc__, help_format="plaintext")
SETTINGS = ["--dataset", "sample", "--hidden", "256,128", "--batch-size", "32", "--epochs", "20"]
KINDS = ("killed", "frozen", "slow", "restarted")
DATABASE_KINDS = ("killed", "restarted")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@app.default
def main(
    *,
    rounds: int = 50,
    seed: int = 0,
    postgres: bool = False,
    requests: bool = False,
    jobs: tuple[str, ...] = request_faults.JOBS,
) -> None:
    """Print what was lost, doubled or wrong in each round, and the sums.

    Parameters
    ----------
    rounds
        trainings
    seed
        of what happens when
    postgres
        let it happen to a PostgreSQL server under the tracking server
    requests
        let single requests fail
    jobs
        what is done in turn while requests fail
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background command would pass on to ignore it
    total = request_faults.run_rounds(rounds, seed, jobs) if requests else run_rounds(rounds, seed, postgres)
    print(f"{rounds} rounds, seed {seed}: {total}")


def run_rounds(rounds: int, seed: int, postgres: bool) -> Findings:
    """All rounds; gives the sums."""
    total = Findings()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        database = stack.enter_context(running_postgres()) if postgres else None
        server = MlflowServer(folder, database.create_database("mlflow") if database else None)
        server.start()
        stack.callback(server.kill)
        client = connect(server.url)
        expected = take_snapshot(client, train(server, folder / "undisturbed", None, None))
        for number in range(rounds):
            chance = Random(f"{seed}/{number}")
            victim: MlflowServer | Postgres = database or server
            fault = Fault(victim, chance.choice(DATABASE_KINDS if database else KINDS), chance)
            kill = Kill(chance) if number % 2 else None
            began = time.monotonic()
            run_id = train(server, folder / f"round{number}", fault, kill)
            found = compare(take_snapshot(client, run_id), expected)
            found.blocked_seconds = blocked_seconds(client, run_id, kill.after_epoch if kill else None)
            print(f"round {number + 1}/{rounds}  {fault}{kill or ''}: {found}  ({time.monotonic() - began:.0f} s)")
            sys.stdout.flush()
            total.add(found)
    return total


class Fault(threading.Thread):
    """What happens to a server, when, and for how long; some last until the training is over."""

    def __init__(self, victim: "MlflowServer | Postgres", kind: str, chance: Random) -> None:
        super().__init__(name="fault")
        self._victim, self._kind = victim, kind
        self._delay, self._seconds = chance.uniform(0, 4), chance.uniform(0.5, 6)
        self._lasts = chance.random() < 0.25
        self.training_is_over = threading.Event()

    def run(self) -> None:
        """Let it happen, and mend it."""
        self.training_is_over.wait(self._delay)
        end = self.training_is_over.wait if self._lasts else self._wait
        if isinstance(self._victim, MlflowServer) and self._kind in ("frozen", "slow"):
            self._victim.freeze()
            if self._kind == "slow":  # a call takes about a second
                until = time.monotonic() + self._seconds
                while not self.training_is_over.is_set() and (self._lasts or time.monotonic() < until):
                    time.sleep(1)
                    self._victim.thaw()
                    time.sleep(0.05)
                    self._victim.freeze()
            else:
                end()
            self._victim.thaw()
        else:
            self._victim.kill()
            if self._kind == "killed":
                end()
            self._victim.start()

    def _wait(self) -> bool:
        return self.training_is_over.wait(self._seconds)

    def __str__(self) -> str:
        how_long = "to the end" if self._lasts else f"{self._seconds:.1f} s"
        what = "database" if isinstance(self._victim, Postgres) else "server"
        return f"{what} {self._kind} at {self._delay:.1f} s" + (f" for {how_long}" if self._kind != "restarted" else "")


class Kill:
    """A signal to the training, some time after its first epoch."""

    def __init__(self, chance: Random) -> None:
        self.signal, self.delay = chance.choice(SIGNALS), chance.uniform(0, 5)
        self.after_epoch: int | None = None  # when it was too late, none

    def __str__(self) -> str:
        when = f"after epoch {self.after_epoch}" if self.after_epoch else "too late"
        return f", training {self.signal.name} {when}"


def train(server: MlflowServer, work_dir: Path, fault: Fault | None, kill: Kill | None) -> str:
    """One training from its start until the server has all of it; gives its run."""
    process = start(server, work_dir, SETTINGS)
    run_id = wait_for(work_dir, process, "*/lock").parent.name
    if fault:
        fault.start()
    if kill:
        wait_for(work_dir, process, f"*/{FILE_NAME}")
        time.sleep(kill.delay)
        process.send_signal(kill.signal)
    process.wait()
    if fault:
        fault.training_is_over.set()
        fault.join()
    if kill and process.returncode not in (0, 3):
        kill.after_epoch = len(load_checkpoint(work_dir / run_id).epochs)
        process = start(server, work_dir, ["--resume", run_id])
        process.wait()
    if process.returncode not in (0, 3):  # 3: trained, but not all has arrived
        raise RuntimeError((work_dir / "log").read_text()[-3000:])
    while list_pending(work_dir):
        list(send_pending(connect(server.url), work_dir))
    return run_id


def start(server: MlflowServer, work_dir: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    """``kmnist train``, with one thread."""
    work_dir.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "kmnist", "train", *arguments]
    place = ["--work-dir", str(work_dir), "--tracking-uri", server.url, "--quiet"]
    with (work_dir / "log").open("ab") as log:
        return subprocess.Popen([*command, *place], stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


def wait_for(work_dir: Path, process: subprocess.Popen[bytes], pattern: str) -> Path:
    """The first file of that name that the training makes."""
    while not (found := list(work_dir.glob(pattern))):
        if process.poll() is not None:
            raise RuntimeError((work_dir / "log").read_text()[-3000:])
        time.sleep(0.02)
    return found[0]


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of its own."""
    database = Postgres()
    database.start()
    try:
        yield database
    finally:
        database.close()


if __name__ == "__main__":
    app()
