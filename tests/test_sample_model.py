"""Without a network the drawn sample takes the place of the data: the whole way works with a model of its own name."""

from pathlib import Path

import pytest
from PIL import Image

from tests.commands import Command
from tests.nets import drawn_images


@pytest.mark.slow
def test_a_model_of_the_sample_is_registered_promoted_and_asked(kmnist_command: Command, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = kmnist_command(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("train", "--dataset", "sample", "--hidden", "64", "--epochs", "6", "--quiet")
    printed = run("register", "--best", "Default")
    assert "version 1 of kmnist-sample: SAMPLE" in printed
    assert "kmnist promote 1 --name kmnist-sample" in printed
    assert "models:/kmnist-sample@champion is now version 1" in run(
        "promote", "1", "--name", "kmnist-sample", "--force"
    )
    Image.fromarray(255 - drawn_images().test.pixels[0]).resize((120, 120)).save(tmp_path / "a.png")
    assert "a.png" in run("predict", str(tmp_path / "a.png"), "--model", "models:/kmnist-sample@champion")
    done = kmnist_command("models")
    assert (done.returncode, done.stderr) == (
        1,
        "kmnist: there is no registered model 'kmnist'; there are: kmnist-sample (--name)\n",
    )
    assert run("models", "--name", "kmnist-sample").count("\n") == 2
