"""The settings of augmentation. Knows no torch."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from kmnist.settings import Choices, Range, Registry, Searched, Settings

#: Name of the setting -> its part, a :class:`kmnist.training.augmentation.parts.Part`.
PARTS: Registry[Any] = Registry(
    "part of the augmentation",
    {
        "rotation": "kmnist.training.augmentation.affine:ROTATION",
        "scaling": "kmnist.training.augmentation.affine:SCALING",
        "shear": "kmnist.training.augmentation.affine:SHEAR",
        "translation": "kmnist.training.augmentation.affine:TRANSLATION",
        "flip": "kmnist.training.augmentation.affine:FLIP",
        "elastic": "kmnist.training.augmentation.elastic:ELASTIC",
        "noise": "kmnist.training.augmentation.noise:NOISE",
        "cutout": "kmnist.training.augmentation.cutout:CUTOUT",
        "mixup": "kmnist.training.augmentation.mixing:MIXUP",
        "cutmix": "kmnist.training.augmentation.mixing:CUTMIX",
    },
)
#: What the words mean; what they leave out is off.
PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "light": {"rotation": 8, "scaling": 0.1, "shear": 0.1, "translation": 2},
    "strong": {"rotation": 12, "scaling": 0.2, "shear": 0.15, "translation": 3, "elastic": 1.0, "cutout": 8},
}


def _part(most_searched: float, most: float, description: str) -> Any:
    """The field of a part: off at 0; searched, where a study asks for it, up to ``most_searched``."""
    field: Any = Field("auto", ge=0, le=most, description=f"{description}; auto: as augment says")
    field.metadata.append(Searched(Range(low=0, high=most_searched), unasked=False))
    return field


class AugmentSettings(Settings):
    """What is done to the training images."""

    augment: Annotated[
        Literal["none", "light", "strong"], Searched(Choices(values=("none", "light", "strong")), unasked=False)
    ] = Field("none", description="changes to the training images: none, light or strong; each part is a setting, too")
    rotation: float = _part(20, 180, "rotation by up to so many degrees")
    scaling: float = _part(0.3, 0.9, "scaling by up to this share, larger and smaller")
    shear: float = _part(0.3, 2, "shear by up to this share of the height")
    translation: float = _part(4, 14, "translation by up to so many pixels")
    flip: float = _part(0.5, 1, "probability of a mirrored image: another shape, for kana")
    elastic: float = _part(3, 10, "elastic displacement, in pixels (standard deviation)")
    noise: float = _part(40, 255, "noise, in grey levels (standard deviation)")
    cutout: float = _part(12, 28, "side of a square that is blanked, in pixels")
    mixup: float = _part(1, 10, "mixup of two images and their labels: alpha of the beta distribution")
    cutmix: float = _part(1, 10, "cutmix of two images and their labels: alpha of the beta distribution")

    @field_validator(*PARTS, mode="before", check_fields=False)
    @classmethod
    def _of_preset(cls, value: Any, info: ValidationInfo) -> Any:
        """``auto`` is what the preset says."""
        if value in (None, "auto"):
            return PRESETS[info.data.get("augment", "none")].get(info.field_name or "", 0.0)
        return value
