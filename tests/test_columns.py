"""A table's columns are read by their names, in whatever order a client's encoder puts them."""

import base64
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmnist.errors import PictureError
from kmnist.inference.columns import pixels_or_pictures

SHAPE = (28, 28)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 784)).astype(np.uint8)
NAMES = {
    "0 to 783": [str(place) for place in range(784)],
    "pixel1 to pixel784": [f"pixel{place}" for place in range(1, 785)],
    "1x1 to 28x28": [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)],
    "28x28_0 to 28x28_783": [f"28x28_{place}" for place in range(784)],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("order", ["sorted as text", "shuffled", "as they are"])
def test_pixels_are_taken_by_the_numbers_in_their_names(names: list[str], order: str) -> None:
    table = pd.DataFrame(PIXELS, columns=names)
    shuffled = np.random.default_rng(1).permutation(784)
    columns = {"sorted as text": sorted(names), "shuffled": [names[place] for place in shuffled], "as they are": names}
    assert np.array_equal(pixels_or_pictures(table[columns[order]], SHAPE), PIXELS)


def test_numbers_as_names_are_taken_so_too() -> None:
    assert np.array_equal(pixels_or_pictures(pd.DataFrame(PIXELS).iloc[:, ::-1], SHAPE), PIXELS)


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["a"] * 784, "columns of pixels that are named a, a, a, ...: each name must end in the number of its pixel"),
        ([f"p{place // 2}" for place in range(784)], "each name must end in the number of its pixel, like pixel0 to"),
        ([f"p{2 * place}" for place in range(784)], "each name must end in the number of its pixel"),
        ([*NAMES["0 to 783"][:-1], "label"], "each name must end in the number of its pixel"),
        ([*NAMES["0 to 783"], "label"], "a table of 785 columns .*: must have one column of pictures, or 784 of pix"),
        ([], r"a table of 0 columns \(\)"),
        ([f"{place // 28}x{place % 28 // 2}" for place in range(784)], "each name must end in the number of its pixel"),
        (["9" * 5_000] * 784, "each name must end in the number of its pixel"),
    ],
)
def test_columns_that_do_not_say_which_pixel_they_are_are_refused(names: list[str], wrong: str) -> None:
    with pytest.raises(PictureError, match=wrong):
        pixels_or_pictures(pd.DataFrame(np.zeros((2, len(names)), np.uint8), columns=names), SHAPE)


@pytest.mark.parametrize("side", [28, 8])
def test_a_csv_of_pixels_without_a_header_is_refused(side: int) -> None:
    """Its first row would be the header, and its picture lost."""
    pixels = pd.DataFrame(PIXELS[:, : side * side])
    table = pd.read_csv(BytesIO(pixels.to_csv(index=False, header=False).encode()))
    with pytest.raises(PictureError, match="a CSV without a header line, add one: its first row was taken for"):
        pixels_or_pictures(table, (side, side))


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif"])
def test_a_csv_of_pictures_without_a_header_is_refused(form: str) -> None:
    content = BytesIO()
    Image.fromarray(PIXELS[0].reshape(SHAPE)).save(content, form)
    text = base64.b64encode(content.getvalue()).decode()
    for first in (text, f"data:image/{form};base64,{text}"):
        with pytest.raises(PictureError, match=r"the name of the only column is a picture: .* without a header line"):
            pixels_or_pictures(pd.DataFrame({first: [text]}), SHAPE)
    assert pixels_or_pictures(pd.DataFrame({"a" * 200: [text]}), SHAPE)[0] == text
