"""What augmentation does to images and labels: ranges, seeds, statistics."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kmnist.data import Dataset
from kmnist.errors import SettingError
from kmnist.training.augmentation.augment import Augmentation, mixed_loss, sources
from kmnist.training.augmentation.parts import Mix
from kmnist.training.augmentation.settings import PARTS, PRESETS, AugmentSettings

STRENGTHS = {"rotation": 15, "scaling": 0.2, "shear": 0.3, "translation": 3, "flip": 1, "elastic": 1.5, "noise": 20,
             "cutout": 8, "mixup": 0.5, "cutmix": 1}  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def changed(images: Tensor, *, seed: int = 0, **settings: Any) -> tuple[Tensor, list[Mix]]:
    return Augmentation(AugmentSettings.parse(settings))(images, generator(seed))


@pytest.fixture(scope="module")
def kana(drawn: Dataset) -> Tensor:
    return torch.from_numpy(drawn.train.pixels[:200])


def strength(part: str) -> dict[str, Any]:
    return {part: STRENGTHS[part]}


def spot(side: int = 28) -> Tensor:
    """An image with one bright square, 200 times."""
    images = torch.zeros(200, side, side)
    images[:, 12:16, 12:16] = 255
    return images


def middles(images: Tensor) -> tuple[Tensor, Tensor]:
    """The middle of the ink of each image: from the top and from the left."""
    weights = images / images.sum(dim=(1, 2), keepdim=True)
    places = torch.arange(images.shape[1]) + 0.5
    return (weights.sum(dim=2) * places).sum(dim=1), (weights.sum(dim=1) * places).sum(dim=1)


def test_every_part_has_a_strength_here_and_a_setting() -> None:
    assert set(STRENGTHS) == set(PARTS) == set(AugmentSettings.model_fields) - {"augment"}


@pytest.mark.parametrize("part", STRENGTHS)
def test_each_part_changes_each_image_for_itself_and_by_its_seed(part: str, kana: Tensor) -> None:
    first, _ = changed(kana, **strength(part))
    again, _ = changed(kana, **strength(part))
    other, _ = changed(kana, seed=1, **strength(part))
    assert first.shape == kana.shape
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 255 + 1e-3
    assert torch.equal(first, again)
    assert part == "flip" or not torch.equal(first, other)
    differs = (first != kana).flatten(1).any(dim=1)
    assert differs.float().mean() > 0.8
    same, _ = changed(kana[:1].repeat(50, 1, 1), **strength(part))
    if part not in ("flip", "mixup", "cutmix"):
        assert len({image.numpy().tobytes() for image in same}) > 40


def test_off_is_off(kana: Tensor) -> None:
    assert not Augmentation(AugmentSettings.parse({}))
    images, mixes = changed(kana)
    assert torch.equal(images, kana.float())
    assert mixes == []


def test_no_random_number_of_the_training_is_used(kana: Tensor) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    changed(kana, **dict[str, Any](STRENGTHS))
    assert torch.equal(torch.rand(1), expected)


def test_a_translation_is_in_pixels_and_reaches_its_range() -> None:
    down, right = middles(changed(spot(), translation=3)[0])
    for moved in (down - 14, right - 14):
        assert moved.abs().max() <= 3.01
        assert moved.max() > 2.5
        assert moved.min() < -2.5
        assert abs(moved.mean()) < 0.4


def test_a_rotation_is_in_degrees_around_the_middle() -> None:
    images = torch.zeros(200, 28, 28)
    images[:, 13:15, 22:26] = 255  # to the right of the middle
    down, right = middles(changed(images, rotation=30)[0])
    angles = torch.atan2(down - 14, right - 14).rad2deg()
    assert angles.abs().max() <= 31
    assert angles.max() > 25
    assert angles.min() < -25
    assert ((down - 14).hypot(right - 14) - 10).abs().max() < 0.5  # a rotation keeps distances


def test_scaling_goes_both_ways() -> None:
    ink = changed(spot(), scaling=0.5)[0].sum(dim=(1, 2)) / (16 * 255)
    assert ink.max() <= 1.5**2 + 0.05
    assert ink.min() >= 1 / 1.5**2 - 0.05
    assert ink.max() > 1.6
    assert ink.min() < 0.65


def test_a_flip_exchanges_left_and_right(kana: Tensor) -> None:
    assert torch.allclose(changed(kana, flip=1)[0], kana.float().flip(2), atol=1e-2)
    half = changed(kana, flip=0.5)[0]
    flipped = [torch.allclose(image, was.float().flip(1), atol=1e-2) for image, was in zip(half, kana)]
    assert 60 < sum(flipped) < 140


def test_noise_has_its_deviation() -> None:
    images, _ = changed(torch.full((100, 28, 28), 128.0), noise=10)
    assert images.std().item() == pytest.approx(10, rel=0.05)


def test_cutout_blanks_a_square() -> None:
    images, _ = changed(torch.full((400, 28, 28), 255.0), cutout=8)
    missing = (images == 0).sum(dim=(1, 2))
    assert missing.max() == 64
    assert missing.min() >= 4 * 4 - 8  # at the rim a part lies outside


def test_mixup_keeps_the_larger_part_of_an_image_and_its_label() -> None:
    images = torch.arange(100.0)[:, None, None].repeat(1, 28, 28)
    found, [mix] = changed(images, mixup=0.5)
    assert mix.share.min() >= 0.5
    expected = mix.share * torch.arange(100.0) + (1 - mix.share) * mix.partner.float()
    assert torch.allclose(found[:, 3, 5], expected, atol=1e-4)


def test_the_share_of_cutmix_is_the_area_that_stayed() -> None:
    images = torch.arange(1.0, 101.0)[:, None, None].repeat(1, 28, 28)
    found, [mix] = changed(images, cutmix=1)
    stayed = (found == images).float().mean(dim=(1, 2))
    others = mix.partner != torch.arange(100)
    assert torch.allclose(stayed[others], mix.share[others], atol=1e-6)


def test_the_loss_of_mixed_labels_is_the_mixture_of_their_losses() -> None:
    log_probabilities = torch.randn(4, 10).log_softmax(1)
    labels = torch.tensor([1, 2, 3, 4])
    mix = Mix(torch.tensor([1, 0, 3, 2]), torch.tensor([0.7, 0.6, 1.0, 0.5]))
    own = -log_probabilities[torch.arange(4), labels]
    others = -log_probabilities[torch.arange(4), labels[mix.partner]]
    expected = (mix.share * own + (1 - mix.share) * others).mean()
    assert mixed_loss(log_probabilities, labels, [mix]).mean().item() == pytest.approx(expected.item(), rel=1e-6)
    unmixed = Mix(torch.arange(4), torch.ones(4))
    assert mixed_loss(log_probabilities, labels, [unmixed, unmixed]).mean().item() == pytest.approx(
        own.mean().item(), rel=1e-6
    )


def test_several_maps_are_one_sampling(kana: Tensor) -> None:
    """Two translations that undo each other would blur an image twice if they were two samplings."""
    images, _ = changed(kana, rotation=1e-4, translation=1e-4, shear=1e-4, scaling=1e-6)
    assert torch.allclose(images, kana.float(), atol=1.0)


def test_sources_are_torchs_grid() -> None:
    matrices = torch.randn(5, 2, 3, generator=generator())
    grid = F.affine_grid(matrices, [5, 1, 20, 30], align_corners=False)
    assert torch.allclose(sources(matrices, (20, 30)), grid, atol=1e-5)


def test_presets_are_settings_that_can_be_changed_one_by_one() -> None:
    strong = AugmentSettings.parse({"augment": "strong", "cutout": "4"})
    assert (strong.rotation, strong.cutout, strong.flip) == (PRESETS["strong"]["rotation"], 4, 0)
    assert AugmentSettings.parse({"augment": "light"}).elastic == 0
    for values in PRESETS.values():
        assert "flip" not in values  # a mirrored kana is another shape


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": "weak"}, "augment=weak: must be 'none', 'light' or 'strong'"),
        ({"rotation": 200}, "rotation=200: must be less than or equal to 180"),
        ({"cutout": -1}, "cutout=-1: must be greater than or equal to 0"),
        ({"mixup": "much"}, "mixup=much: must be a valid number"),
    ],
)
def test_a_bad_setting_is_told(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        AugmentSettings.parse(settings)


def test_wide_images_are_not_distorted() -> None:
    images = torch.zeros(100, 20, 40)
    images[:, 9:11, 30:34] = 255
    down, right = (torch.as_tensor(x) for x in _middles_of_wide(changed(images, rotation=20)[0]))
    assert ((down - 10).hypot(right - 20) - 12).abs().max() < 0.6


def _middles_of_wide(images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    weights = (images / images.sum(dim=(1, 2), keepdim=True)).numpy()
    down = (weights.sum(axis=2) * (np.arange(weights.shape[1]) + 0.5)).sum(axis=1)
    right = (weights.sum(axis=1) * (np.arange(weights.shape[2]) + 0.5)).sum(axis=1)
    return down, right
