"""A calibration, found on images that the network was not trained on."""

import numpy as np
import numpy.typing as npt

from kmnist.calibration import MOST_TEMPERATURE, Calibration, LogProbabilities, grey_share
from kmnist.data import Images

PRECISION = 0.99  # of the answers that are not unsure
LEAST_SURE = 0.01  # the share of images that are unsure at least: what is no letter at all is less sure than these
ODD = 0.001  # the share of images that are greyer, or less grey, than what is taken for a letter


def calibrate(log_probabilities: LogProbabilities, images: Images) -> Calibration:
    """The temperature with the least loss, a threshold, and how grey letters are.

    The threshold is the lowest at which 99 % of the answers that are left are right. A network that is right more often
    than that would have none, and would answer for noise, too: so it is at least where the least sure hundredth of the
    images is.

    Args:
        log_probabilities: (N, C), N >= 1.
        images: the N that they are of.
    """
    from scipy.optimize import minimize_scalar

    labels = images.labels

    def loss(exponent: float) -> float:
        scaled = Calibration(float(np.exp(exponent))).apply(log_probabilities)
        return float(-scaled[np.arange(len(labels)), labels].mean(dtype=np.float64))

    most = np.log(MOST_TEMPERATURE)
    temperature = float(np.exp(minimize_scalar(loss, bounds=(-most, most), method="bounded").x))
    probabilities = np.exp(Calibration(temperature).apply(log_probabilities))
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    least, most = np.quantile(grey_share(images.pixels), (ODD, 1 - ODD))
    threshold = max(_precise_from(sure, right), float(np.quantile(sure, LEAST_SURE)))
    return Calibration(temperature, threshold, (float(least), float(most)))


def _precise_from(sure: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> float:
    """The lowest probability from which on enough answers are right; 1 if there is none."""
    order = np.argsort(-sure, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    kept = np.flatnonzero(share >= PRECISION)
    return float(sure[order][kept[-1]]) if len(kept) else 1.0
