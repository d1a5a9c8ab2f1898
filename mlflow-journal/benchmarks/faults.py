"""Random faults of a tracking server and of programs that log to it: what is lost, doubled, of wrong status, an orphan?

python mlflow-journal/benchmarks/faults.py --rounds 50 --seed 0

The server is killed, frozen, slowed or restarted. In every second round the program is killed by SIGKILL at a random
moment, in every fourth it is then started again and takes up its run. In every third round single requests fail, too.
What a call that returned had logged must be on the server once, after ``mlflow-journal sync``; the call that was under
way at the kill may have been taken or not. The exit status is 1 if anything is wrong.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow_journal.testing import KINDS, Fault, FaultProxy, Findings, MlflowServer
from mlflow_journal.testing.programs import Program, begin, sync

WITNESS = Program("witness", ("python", str(Path(__file__).with_name("witness.py"))))
STEPS = 120
SERVER_FAULTS = ("none", "killed", "frozen", "slow", "restarted", "away at the start")
#: What the proxy answers itself to a creation is told to the program, as a server's own refusal is.
REFUSALS = (400, 401, 403, 413)
ON_RUNS = r"POST .*/(runs/(log|set-tag|update|outputs)|logged-models/)|PUT .*/mlflow-artifacts/"


class ServerFault(threading.Thread):
    """What happens to the server while a program runs."""

    def __init__(self, server: MlflowServer, chance: random.Random) -> None:
        super().__init__(name="server-fault")
        self._server, self.kind = server, chance.choice(SERVER_FAULTS)
        self._delay, self._seconds = chance.uniform(0, 5), chance.uniform(0.5, 5)
        self._lasts = chance.random() < 0.3
        self.over = threading.Event()
        if self.kind == "away at the start":
            server.kill()

    def run(self) -> None:
        """Let it happen, and mend it."""
        self.over.wait(self._delay)
        match self.kind:
            case "killed":
                self._server.kill()
                self._wait()
                self._server.start()
            case "restarted":
                self._server.kill()
                self._server.start()
            case "away at the start":
                self._wait()
                self._server.start()
            case "frozen":
                self._server.freeze()
                self._wait()
                self._server.thaw()
            case "slow":
                until = time.monotonic() + self._seconds
                while not self.over.is_set() and (self._lasts or time.monotonic() < until):
                    self._server.freeze()
                    time.sleep(1)
                    self._server.thaw()
                    time.sleep(0.05)

    def _wait(self) -> None:
        self.over.wait(None if self._lasts else self._seconds)

    def __str__(self) -> str:
        how_long = "to the end" if self._lasts else f"{self._seconds:.1f} s"
        return "server up" if self.kind == "none" else f"server {self.kind} at {self._delay:.1f} s, {how_long}"


def run_round(server: MlflowServer, folder: Path, number: int, seed: int) -> tuple[str, Findings]:
    """One round; gives what happened, and what is wrong."""
    chance = random.Random(f"{seed}/{number}")
    experiment, place = f"round {number}", folder / f"round{number}"
    notes, journal = place / "notes", place / "journal"
    environment = {
        "NOTES": str(notes),
        "STEPS": str(STEPS),
        "PAUSE_SECONDS": str(chance.choice((0, 0.02, 0.05))),
        "MLFLOW_JOURNAL_EXIT_SECONDS": str(chance.choice((0, 1, 5))),
    }
    told = []
    with ExitStack() as stack:
        url = server.url
        if number % 3 == 2:
            proxy = stack.enter_context(FaultProxy(server.url))
            faults = [_draw(chance) for _ in range(chance.randint(1, 3))]
            proxy.inject(*faults)
            url = proxy.url
            told += [f"{fault.kind} on {fault.requests} {fault.first} to {fault.last}" for fault in faults]
        fault = ServerFault(server, chance)
        told.append(str(fault))
        fault.start()
        kill_after = chance.uniform(0, 6) if number % 2 else None
        crashed = _run(experiment, url, place, journal, environment, kill_after)
        told.append("" if kill_after is None else f"killed after {kill_after:.1f} s" if crashed else "killed too late")
        if crashed and number % 4 == 1:
            told.append("taken up again")
            crashed = _run(experiment, url, place, journal, environment, None)
        fault.over.set()
        fault.join()
        if number % 3 == 2:
            told.append(f"{proxy.failed.total()} requests failed")
            proxy.heal()
        findings = Findings()
        for _ in range(2):
            sent = sync(journal, url)
        if sent.returncode:
            findings.lost += 1
            findings.words.append(f"sync: exit status {sent.returncode}: {sent.stdout}{sent.stderr}")
    findings.add(judge(MlflowClient(server.url), experiment, notes, crashed))
    return ", ".join(filter(None, told)), findings


def _draw(chance: random.Random) -> Fault:
    kind = chance.choice(KINDS)
    first, times = chance.choice((1, 1, 2, 4)), chance.choice((1, 2, 5, 20))
    seconds = chance.randint(1, 3) if kind in ("delay", 429, 503) else None
    requests = (
        ON_RUNS if kind in REFUSALS else chance.choice((ON_RUNS, "/runs/create", "/api/", "/experiments/", "PUT "))
    )
    return Fault(requests, kind, first, first + times - 1, seconds=seconds)


def _run(
    experiment: str, url: str, place: Path, journal: Path, environment: dict[str, str], kill_after: float | None
) -> bool:
    """Execute the witness; gives whether it was killed.

    Raises:
        RuntimeError: it ended with an error of its own.
    """
    process, _ = begin(WITNESS, url, experiment, place, journal, **environment)
    printed = ""
    try:
        if kill_after is None:
            printed, _ = process.communicate(timeout=300)
        else:  # counted from the first call that returned, or the kill would hit imports only
            while process.poll() is None and not (place / "notes").exists():
                time.sleep(0.02)
            printed, _ = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if kill_after is None:
            raise RuntimeError(f"{experiment}: hangs") from None
        return True
    if process.returncode:
        raise RuntimeError(f"{experiment}: exit status {process.returncode}:\n{printed[-3000:]}")
    return False


def judge(client: MlflowClient, experiment: str, notes: Path, killed: bool) -> Findings:
    """What of that which was noted is not there once, and what is there that nobody logged."""
    noted = [json.loads(line) for line in notes.read_text().splitlines()]
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id]) if found else []
    findings = Findings()
    mains = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    if not mains:
        findings.lost += len(noted)
        findings.words.append("no run")
        return findings
    slack = int(killed)  # the creation under way when it was killed
    main = max(mains, key=lambda run: len(run.data.metrics))
    _count(findings, "orphans", len(mains) - 1, f"{len(mains)} main runs")
    expected_children = {facts[1]: facts[2] for facts in noted if facts[0] == "child"}
    more = len(runs) - len(mains) - len(expected_children)
    _count(findings, "orphans", max(more - slack, 0), f"{len(runs) - len(mains)} children of {len(expected_children)}")
    ended = any(facts[0] == "ended" for facts in noted)
    if main.info.status != ("FINISHED" if ended else "RUNNING") and not (killed and main.info.status == "FINISHED"):
        _count(findings, "statuses", 1, f"the run is {main.info.status}, ended: {ended}")
    _judge_points(findings, client, main, noted, killed)
    for name, status in expected_children.items():
        if (child := children.get(name)) is None:
            _count(findings, "lost", 1, f"{name} is not there")
            continue
        if child.info.status != status and not (killed and child.info.status == "FINISHED"):
            _count(findings, "statuses", 1, f"{name} is {child.info.status}, not {status}")
        if child.data.tags["mlflow.parentRunId"] != main.info.run_id:
            _count(findings, "changed", 1, f"{name} has another parent")
        had = [facts[2] for facts in noted if facts[0] == "child point" and facts[1] == name]
        have = [point.step for point in client.get_metric_history(child.info.run_id, "loss")]
        _count(findings, "lost", len(set(had) - set(have)), f"{name}: points {have} of {had}")
        _count(findings, "doubled", len(have) - len(set(have)), f"{name}: points {have} of {had}")
    return findings


def _judge_points(findings: Findings, client: MlflowClient, run: Run, noted: list[list[str]], killed: bool) -> None:
    for key in ("loss", "accuracy"):
        had = {facts[2] for facts in noted if facts[0] == "point" and facts[1] == key}
        have = Counter(point.step for point in client.get_metric_history(run.info.run_id, key))
        _count(findings, "lost", len(had - set(have)), f"{key}: steps {sorted(had - set(have))} are lost")
        _count(findings, "doubled", have.total() - len(have), f"{key}: doubled {[s for s in have if have[s] > 1]}")
    for kind, there in (("tag", run.data.tags), ("param", run.data.params)):
        wrong = [facts[1] for facts in noted if facts[0] == kind and there.get(facts[1]) != facts[2]]
        _count(findings, "changed", len(wrong), f"{kind}s wrong: {wrong}")
    with TemporaryDirectory() as place:
        address = f"runs:/{run.info.run_id}/"
        folder = Path(download_artifacts(address, dst_path=place, tracking_uri=client.tracking_uri))
        wrong = [facts[1] for facts in noted if facts[0] == "file" and not _is(folder / facts[1], facts[2])]
        _count(findings, "files", len(wrong), f"files wrong: {wrong}")
        table = folder / "table.json"
        rows = [row[0] for row in json.loads(table.read_text())["data"]] if table.exists() else []
        had_rows = [facts[1] for facts in noted if facts[0] == "row"]
        lost, doubled = set(had_rows) - set(rows), len(rows) - len(set(rows))
        _count(findings, "files", len(lost) + doubled, f"the table has rows {rows}, not {had_rows}")


def _is(path: Path, content: str) -> bool:
    return path.exists() and path.read_text() == content


def _count(findings: Findings, name: str, number: int, words: str) -> None:
    if number:
        setattr(findings, name, getattr(findings, name) + number)
        findings.words.append(words)


def main() -> None:
    """Print what was wrong in each round, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first round, to have one again")
    options = parser.parse_args()
    total = Findings()
    with TemporaryDirectory() as folder, MlflowServer(Path(folder) / "server") as server:
        for number in range(options.first, options.first + options.rounds):
            began = time.monotonic()
            told, found = run_round(server, Path(folder), number, options.seed)
            print(f"round {number}: {told}: {found}  ({time.monotonic() - began:.0f} s)", flush=True)
            total.add(found)
    total.words.clear()
    print(f"{options.rounds} rounds, seed {options.seed}: {total}")
    sys.exit(bool(total))


if __name__ == "__main__":
    main()
