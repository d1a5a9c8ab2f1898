"""The pictures that come with the project are those that its command draws, and are small."""

import numpy as np
import pytest
from PIL import Image

from experiments.photos import FOLDER, draw


@pytest.mark.parametrize("name", sorted(draw()))
def test_a_picture_is_as_the_command_draws_it(name: str) -> None:
    there, drawn = Image.open(FOLDER / name), draw()[name].convert("RGB")
    difference = np.abs(np.asarray(there.convert("RGB"), np.int16) - np.asarray(drawn, np.int16))
    assert difference.mean() < 4  # JPEG
    assert (FOLDER / name).stat().st_size < 10_000


def test_no_other_picture_lies_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(draw())
