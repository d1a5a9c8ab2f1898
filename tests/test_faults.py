"""The fault benchmark, for two rounds of it: nothing is lost."""

import pytest

from experiments.benchmarks import request_faults
from experiments.benchmarks.faults import run_rounds


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_is_lost_whatever_happens_to_server_and_training() -> None:
    found = run_rounds(rounds=2, seed=0, postgres=False)
    assert found.blocked_seconds < 1
    found.blocked_seconds = 0
    assert found == type(found)()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_is_lost_whichever_requests_of_a_training_fail() -> None:
    found = request_faults.run_rounds(rounds=3, seed=0, jobs=["train"])
    assert found == type(found)()
