"""Programs that know nothing of the journal go through outages, and leave what they leave on a server that stays up.

Each program is executed once with MLflow's own client and a server that stays up. What it leaves there is what it
has to leave there whatever happens to the server, point by point and file by file.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow_journal.testing import (
    KINDS,
    Fault,
    FaultProxy,
    Findings,
    Kind,
    MlflowServer,
    RunSnapshot,
    compare,
    take_snapshot,
)
from mlflow_journal.testing.programs import Outcome, Program, execute, sync

PROGRAMS = Path(__file__).parent / "programs"
EXIT_SECONDS = {"MLFLOW_JOURNAL_EXIT_SECONDS": "20"}


def _script(name: str, *needs: str, varying: str = r"(?!)", uncounted: str = r"(?!)") -> Program:
    del needs
    return Program(name, ("python", str(PROGRAMS / f"{name}.py")), varying, uncounted)


#: What depends on the clock, or on the machine's load.
_TIMED = (
    r"runtime|per_second|total_flos|training_step_time|_time$|logging_dir|output_dir|estimator\.html|cv_results"
    r"|\.ckpt$|model\.p(kl|th)$"
)
PROGRAM_LIST = {
    program.name: (program, needs)
    for program, needs in (
        (_script("plain_loop"), ()),
        (_script("nested_runs"), ()),
        (_script("system_metrics", uncounted=r"^system/"), ()),
        (_script("sklearn_autolog", varying=_TIMED), ("sklearn",)),
        (_script("optuna_callback"), ("optuna_integration",)),
        (_script("pytorch_log_model"), ("torch",)),
        (_script("pytorch_autolog", varying=_TIMED), ("lightning",)),
        (_script("lightning_logger", varying=_TIMED), ("lightning",)),
        (_script("transformers_callback", varying=_TIMED), ("transformers", "accelerate")),
        (
            Program(
                "project",
                (
                    "python",
                    "-m",
                    "mlflow",
                    "run",
                    "--env-manager",
                    "local",
                    "-P",
                    "rate=0.5",
                    str(PROGRAMS / "project"),
                ),
            ),
            (),
        ),
    )
}
QUICK = ("plain_loop", "nested_runs")


def _all(quick: tuple[str, ...] = ()) -> list[object]:
    """Every program; those that are not quick are left to ``pytest -m long``."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.long) for name in PROGRAM_LIST]


class Stage:
    """A server for all tests of this file, and one that each of them may kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = MlflowServer(folder / "server")
        self.client = MlflowClient(self.server.url)
        self._expected: dict[str, list[RunSnapshot]] = {}

    def expected(self, program: Program) -> list[RunSnapshot]:
        """What the program leaves by MLflow's own client on a server that is always up."""
        if program.name not in self._expected:
            experiment = f"undisturbed {program.name}"
            outcome = execute(program, self.server.url, experiment, self.folder / experiment)
            assert outcome.status == 0, outcome.printed
            self._expected[program.name] = take_snapshot(self.client, experiment)
            assert self._expected[program.name], outcome.printed
        return self._expected[program.name]

    def judge(self, program: Program, experiment: str, outcome: Outcome, journal: Path) -> None:
        """Bring what is left to the server, and compare.

        Raises:
            AssertionError: something is lost, doubled or different, was stamped with a time after the program's end, or
                is still said to wait.
        """
        assert outcome.status == 0, outcome.printed
        sent = sync(journal, self.server.url)
        assert sent.returncode == 0, sent.stdout + sent.stderr + outcome.printed
        found = take_snapshot(self.client, experiment)
        findings: Findings = compare(found, self.expected(program), program.varying, program.uncounted)
        assert not findings, f"{findings}\n\n{outcome.printed}\n{sent.stdout}{sent.stderr}"
        assert max(run.latest for run in found) <= outcome.ended_ms, "a time is that of the sending"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"))
    made.server.start()
    yield made
    made.server.kill()


@pytest.fixture
def standing(stage: Stage) -> Iterator[Stage]:
    """The stage; its server runs again after the test, whatever the test left."""
    yield stage
    stage.server.kill()
    stage.server.start()


def _program(name: str) -> Program:
    program, needs = PROGRAM_LIST[name]
    for module in needs:
        if find_spec(module) is None:
            pytest.skip(f"needs {module}")
    return program


def _experiment(program: Program) -> str:
    return f"{program.name} {uuid.uuid4().hex[:6]}"


@pytest.mark.slow
@pytest.mark.parametrize("name", _all(QUICK))
def test_server_is_up(name: str, stage: Stage, tmp_path: Path) -> None:
    program = _program(name)
    experiment = _experiment(program)
    outcome = execute(program, stage.server.url, experiment, tmp_path, tmp_path / "journal", None, **EXIT_SECONDS)
    stage.judge(program, experiment, outcome, tmp_path / "journal")


@pytest.mark.slow
@pytest.mark.parametrize("name", _all())
def test_server_is_killed_and_started_again(name: str, standing: Stage, tmp_path: Path) -> None:
    program = _program(name)
    experiment = _experiment(program)
    standing.expected(program)

    def restart() -> None:
        standing.server.kill()
        time.sleep(2)
        standing.server.start()

    outcome = execute(
        program, standing.server.url, experiment, tmp_path, tmp_path / "journal", at_mark=restart, **EXIT_SECONDS
    )
    standing.judge(program, experiment, outcome, tmp_path / "journal")


@pytest.mark.slow
@pytest.mark.parametrize("name", _all())
def test_server_is_away_at_the_start_and_comes_back(name: str, standing: Stage, tmp_path: Path) -> None:
    program = _program(name)
    experiment = _experiment(program)
    standing.expected(program)
    standing.server.kill()
    began = threading.Event()

    def come_back() -> None:
        began.set()
        standing.server.start()

    outcome = execute(
        program, standing.server.url, experiment, tmp_path, tmp_path / "journal", at_mark=come_back, **EXIT_SECONDS
    )
    assert began.is_set(), outcome.printed
    standing.judge(program, experiment, outcome, tmp_path / "journal")


@pytest.mark.slow
@pytest.mark.parametrize("name", _all(("plain_loop",)))
def test_server_is_away_until_the_program_has_ended(name: str, standing: Stage, tmp_path: Path) -> None:
    program = _program(name)
    experiment = _experiment(program)
    standing.expected(program)
    standing.server.kill()
    outcome = execute(
        program, standing.server.url, experiment, tmp_path, tmp_path / "journal", MLFLOW_JOURNAL_EXIT_SECONDS="1"
    )
    standing.server.start()
    standing.judge(program, experiment, outcome, tmp_path / "journal")


#: A refusal of the form of a request (400 and the like) is for the program when it creates something, for it has to
#: learn that its experiment's name is not allowed. So these faults happen to what it writes on a run that is there.
_ON_RUNS = r"POST .*/(runs/(log|set-tag|update|outputs)|logged-models/.*/(params|tags))|PUT .*/mlflow-artifacts/"


def _fault(kind: Kind) -> Fault:
    if kind in (400, 401, 403, 413):
        return Fault(_ON_RUNS, kind, every=3, last=12)
    return Fault(r"/api/", kind, every=3, last=60, seconds=1 if kind in ("delay", 429) else None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if name == "plain_loop" else pytest.mark.exhaustive)
        for name in PROGRAM_LIST
    ],
)
def test_every_third_request_fails(name: str, kind: Kind, stage: Stage, tmp_path: Path) -> None:
    program = _program(name)
    experiment = _experiment(program)
    stage.expected(program)
    fault = _fault(kind)
    with FaultProxy(stage.server.url) as proxy:
        proxy.inject(fault)
        outcome = execute(program, proxy.url, experiment, tmp_path, tmp_path / "journal", None, **EXIT_SECONDS)
        assert proxy.failed[fault], "nothing failed"
        proxy.heal()
        stage.judge(program, experiment, outcome, tmp_path / "journal")
