"""What the package offers to Python."""

import doctest
import subprocess
import sys

import pytest

import kmnist
from kmnist import api


def test_these_names_and_no_others() -> None:
    assert kmnist.__all__ == ["evaluate", "load_model", "load_network", "train", "tune"]
    assert all(callable(getattr(kmnist, name)) for name in kmnist.__all__)
    with pytest.raises(AttributeError, match="no attribute 'learn'"):
        kmnist.learn  # noqa: B018


def test_importing_it_imports_nothing_that_takes_time() -> None:
    code = (
        "import sys, kmnist; print(sorted({'torch', 'mlflow', 'numpy', 'pydantic', 'kmnist.api'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "evaluate", pytest.param("tune", marks=pytest.mark.long)])
def test_the_example_runs(name: str, store: str) -> None:
    """In the empty folder that ``store`` has made current."""
    [found] = doctest.DocTestFinder(recurse=False).find(getattr(api, name), name, globs={})
    runner = doctest.DocTestRunner()
    runner.run(found)
    assert (runner.failures, runner.tries > 1) == (0, True)
