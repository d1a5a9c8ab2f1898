"""What spoke for an answer: how much the answer suffers when a part of the picture is covered.

After Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014 (https://arxiv.org/abs/1311.2901).
"""

import numpy as np
import numpy.typing as npt

from kmnist.inference.classifier import Classifier

PATCH = 5


def occlusion(classifier: Classifier, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """By how much the log-probability of the answer falls when a patch of ink around a pixel is taken away, (H, W).

    Args:
        classifier: whose answer.
        image: (H, W).
    """
    (height, width), half = image.shape, PATCH // 2
    covered = np.repeat(image[None], image.size, axis=0)
    for place in range(image.size):
        row, column = divmod(place, width)
        covered[place, max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1] = 0
    answer = classifier.predict(image)
    number = int(answer.classes[0])
    before = np.log(answer.probabilities[0, number] + 1e-12)
    after = np.log(classifier.predict(covered).probabilities[:, number] + 1e-12)
    fall: npt.NDArray[np.float32] = (before - after).reshape(height, width).astype(np.float32)
    return fall
