"""How often a model says that it is unsure: of its letters, of other letters, and of what is no letter at all.

    python -m experiments.benchmarks.unsure --model models:/kmnist@champion --data-dir data

Letters that are none of the ten are Latin, Greek and digits in Matplotlib's fonts, read as ``kmnist predict`` reads
pictures; noise comes from seed 0. Also prints the expected calibration error on test (15 bins, after Guo et al. 2017),
with the model's temperature and without.
"""

from pathlib import Path

import cyclopts
import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from kmnist.calibration import UNCALIBRATED
from kmnist.cli.options import DataDir, ModelUri, TrackingUri
from kmnist.data import Images, held_out_indices
from kmnist.data.kmnist import load_kmnist
from kmnist.inference import Classifier, to_kmnist
from kmnist.registry import fetch_network
from kmnist.training.diagnostics import calibration_error

Pixels = npt.NDArray[np.uint8]
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ΓΔΘΛΞΠΣΦΨΩ"
COUNT = 500  # of each kind of noise
app = cyclopts.App(help=__doc__, help_format="plaintext")


def letters() -> Pixels:
    """Every letter in every font, (N, 28, 28)."""
    drawn = []
    for name in FONTS:
        font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), 100)
        for letter in LETTERS:
            page = Image.new("L", (160, 160), 255)
            ImageDraw.Draw(page).text((80, 80), letter, 0, font=font, anchor="mm")
            drawn.append(to_kmnist(np.asarray(page)))
    return np.stack(drawn)


def nothing() -> dict[str, Pixels]:
    """What shows no letter, by name, each (N, 28, 28)."""
    chance = np.random.default_rng(0)
    clouds = ndimage.gaussian_filter(chance.normal(size=(COUNT, 28, 28)), (0, 2, 2))
    clouds -= clouds.min(axis=(1, 2), keepdims=True)
    clouds *= 255 / clouds.max(axis=(1, 2), keepdims=True)
    return {
        "noise": chance.integers(0, 256, (COUNT, 28, 28)).astype(np.uint8),
        "specks": ((chance.random((COUNT, 28, 28)) < 0.05) * 255).astype(np.uint8),
        "clouds": clouds.astype(np.uint8),
        "empty paper": np.zeros((1, 28, 28), np.uint8),
    }


def error_of(classifier: Classifier, images: Images) -> float:
    """The expected calibration error on images."""
    found = classifier.predict(images.pixels)
    return calibration_error(torch.from_numpy(found.probabilities), torch.from_numpy(images.labels))


@app.default
def measure(
    *,
    model: ModelUri = "models:/kmnist@champion",
    data_dir: DataDir = Path("data"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Print the tables."""
    data, saved = load_kmnist(data_dir), fetch_network(model, tracking_uri=tracking_uri)
    classifier = Classifier(saved.network, saved.spec, model, saved.calibration)
    print(f"temperature {saved.calibration.temperature:.2f}, unsure below {saved.calibration.unsure_below:.3f}\n")
    print(f"{'what':14} {'pictures':>8} {'unsure':>8} {'right if sure':>14}")
    valid = data.train[held_out_indices(data.train, saved.config.splits)]
    for name, images in (("validation", valid), ("test", data.test)):
        if len(images):
            found = classifier.predict(images.pixels)
            right = float((found.classes == images.labels)[~found.unsure].mean())
            print(f"{name:14} {len(images):8,} {found.unsure.mean():8.1%} {right:14.2%}")
    for name, pixels in {"other letters": letters(), **nothing()}.items():
        print(f"{name:14} {len(pixels):8,} {classifier.predict(pixels).unsure.mean():8.1%}")
    before = error_of(Classifier(saved.network, saved.spec, model, UNCALIBRATED), data.test)
    print(f"\nexpected calibration error on test {error_of(classifier, data.test):.4f}, without {before:.4f}")


if __name__ == "__main__":
    app()
