"""``TrainConfig``: every setting that decides a training's numbers, composed of groups that stand beside what they set.

The command line, ``MLproject``, experiment files, search spaces and MLflow's parameters are all read from it: flat
names outside, groups inside. What does not decide numbers (data folder, device, tracking server) is an argument of the
command, not a setting.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, Field, SerializeAsAny, model_validator
from pydantic.fields import FieldInfo

from kmnist.errors import SettingError
from kmnist.models.families import DEFAULT_ARCH, FAMILIES, NetSettings
from kmnist.models.transfer_settings import TransferSettings
from kmnist.settings import Searched, to_text, unknown_name
from kmnist.training.augmentation.settings import AugmentSettings
from kmnist.training.settings import FitSettings
from kmnist.training.subset_settings import SubsetSettings

if TYPE_CHECKING:
    from kmnist.data.reading import Reading

LAST = "last"  # of the epochs, as a value of select_by
#: The settings that say how data of your own are read.
READING = ("first_label", "transpose", "resize", "pixel_max", "test_fraction", "test_seed", "prepare")
AS_THEY_ARE = "none"  # as a value of resize
MOST_SIDE = 1_024  # pixels


def _check_size(size: str) -> str:
    sides = [side.strip() for side in size.split(",")]
    right = len(sides) in (1, 2) and all(side.isascii() and side.isdecimal() and len(side) < 5 for side in sides)
    if size != AS_THEY_ARE and not (right and all(0 < int(side) <= MOST_SIDE for side in sides)):
        raise ValueError(f"must be {AS_THEY_ARE}, or height and width in pixels, like 28,28, at most {MOST_SIDE}")
    return ",".join(sides)


class TrainConfig(SubsetSettings, TransferSettings, AugmentSettings, FitSettings):
    """The settings of one training run."""

    net: SerializeAsAny[NetSettings]
    normalise: Literal["standard", "unit", "each"] = Field(
        "standard", description="pixels: standard (mean 0, deviation 1), unit (0 to 1), or each (image for itself)"
    )
    valid_fraction: float = Field(
        0.1, ge=0, lt=1, description=f"part of the training images kept for validation; 0 needs select_by={LAST}"
    )
    select_by: Literal["valid_loss", "valid_accuracy", "last"] = Field(
        "valid_accuracy", description=f"which epoch's weights are kept: best by valid_loss or valid_accuracy, or {LAST}"
    )
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better one; 0: never")
    dataset: str = Field(
        "auto",
        description="kmnist, kuzushiji49, sample (drawn by the program), auto (kmnist where it can be had, else the "
        "sample), or the path of your own: a folder for each class, IDX, .npz, .csv, .parquet, .tar",
    )
    first_label: int = Field(
        -1, ge=-1, description="in your own data, the number of the first class; -1: 1 where the smallest is 1, else 0"
    )
    transpose: bool = Field(
        False, description="swap rows and columns of your own pictures, as the files of EMNIST need"
    )
    resize: Annotated[str, AfterValidator(_check_size)] = Field(
        AS_THEY_ARE, description=f"H,W to bring your own pictures to; {AS_THEY_ARE}: as they are, all of one size"
    )
    pixel_max: float = Field(
        255, gt=0, description="the value that full ink has in your own data, where it is not 255: 1, 16, 65535"
    )
    test_fraction: float = Field(
        0.2, gt=0, lt=1, description="part of your own pictures kept for the test, where they have no test split"
    )
    prepare: Literal["auto", "kmnist", "ink", "none"] = Field(
        "auto",
        description="how a picture is later made to look like your own training images: auto (as they are), kmnist "
        "(light ink that fills the frame), ink (of their polarity, size and middle), none (whole, only resized)",
    )
    test_seed: int = Field(0, ge=0, lt=2**32, description="seed of that split; the same for all seeds of a training")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.select_by == LAST and self.patience:
            raise ValueError(f"patience={self.patience}: select_by={LAST} takes no epoch for better; leave it out")
        if self.valid_fraction == 0 and self.select_by != LAST:
            raise ValueError(
                f"valid_fraction=0: leaves no images to choose an epoch by {self.select_by} on; a training may give "
                f"select_by={LAST}, a study needs validation images"
            )
        if self.valid_fraction == 0 and self.schedule == "plateau":
            raise ValueError("schedule=plateau: follows the validation loss, which valid_fraction=0 has none of")
        return self

    @property
    def arch(self) -> str:
        """The architecture."""
        return self.net.arch

    @property
    def title(self) -> str:
        """What a run of these settings is, for example ``plain 512-256-128-64 adam 0.001 b128 e10 s0``."""
        what = f"{self.optimizer} {self.learning_rate:g} b{self.batch_size} e{self.epochs} s{self.seed}"
        return f"{self.arch} {self.net.summary} {what}"

    @property
    def reading(self) -> "Reading":
        """How data of your own are read."""
        size = () if self.resize == AS_THEY_ARE else tuple(int(side) for side in self.resize.split(","))
        return cast("Reading", {name: self[name] for name in READING} | {"resize": size})

    @classmethod
    def reading_of(cls, settings: Mapping[str, Any]) -> "Reading":
        """The same of some settings by their flat names, whatever else is among them."""
        return cls.parse({name: settings[name] for name in READING if name in settings}).reading

    @property
    def splits(self) -> tuple[tuple[float, int], ...]:
        """The one split that it is trained on: ``valid_fraction``, and the seed of the split."""
        return ((self.valid_fraction, self.seed if self.split_seed < 0 else self.split_seed),)

    @classmethod
    def fields(cls, arch: str | None = None) -> dict[str, FieldInfo]:
        """Every setting by its flat name, those of the architecture first; without one, only what all share.

        Raises:
            SettingError: there is no such architecture.
        """
        shared = {name: field for name, field in cls.model_fields.items() if name != "net"}
        net = family_settings(arch) if arch else NetSettings
        return {**net.model_fields, **shared}

    @classmethod
    def searched(cls, arch: str) -> dict[str, Searched]:
        """The settings that a study of an architecture can search, and where."""
        marks = {name: field.metadata for name, field in cls.fields(arch).items()}
        return {name: mark for name, metadata in marks.items() for mark in metadata if isinstance(mark, Searched)}

    @classmethod
    def parse(cls, settings: Mapping[str, Any], where: str = "") -> Self:
        """Build from flat names, for example ``{"arch": "plain", "hidden": "512,256", "learning_rate": "1e-3"}``.

        Raises:
            SettingError: one line for each setting that is unknown, of another architecture, malformed or out of its
                range.
        """
        arch = str(settings.get("arch", DEFAULT_ARCH))
        family = family_settings(arch, where)
        known = cls.fields(arch)
        problems = [where + unknown_setting(name, arch) for name in settings if name not in known]
        of_net = {name: value for name, value in settings.items() if name in family.model_fields}
        rest = {name: value for name, value in settings.items() if name in known and name not in of_net}
        try:
            net: NetSettings | None = family.parse({"arch": arch, **of_net}, where)
        except SettingError as error:
            net, problems = None, [*problems, str(error)]
        try:
            config = super().parse({**rest, "net": net or family(arch=arch)}, where)
        except SettingError as error:
            problems.append(str(error))
        if problems:
            raise SettingError("\n".join(problems))
        return config

    def as_text(self) -> dict[str, str]:
        """Each setting, by its flat name, as the text that :meth:`parse` reads back to an equal value."""
        return {name: to_text(self[name]) for name in self.fields(self.arch)}

    def changed(self) -> dict[str, str]:
        """The settings, as text, that differ from the defaults: what one must type to repeat this config."""
        chosen = {"arch": self.arch, "augment": self.augment}  # which the defaults of others follow
        usual = type(self).parse(chosen)
        always = {"arch"} if self.augment == "none" else set(chosen)
        return {name: text for name, text in self.as_text().items() if name in always or self[name] != usual[name]}

    def __getitem__(self, name: str) -> Any:
        """A setting by its flat name."""
        return getattr(self if name in type(self).model_fields else self.net, name)


def family_settings(arch: str, where: str = "") -> type[NetSettings]:
    """The class of an architecture's own settings.

    Raises:
        SettingError: there is no such architecture.
    """
    if arch not in FAMILIES:
        raise SettingError(where + unknown_name("arch", arch, list(FAMILIES)))
    return FAMILIES[arch].settings


def unknown_setting(name: str, arch: str) -> str:
    """A line about a setting that an architecture does not have."""
    others = [other for other in FAMILIES if name in FAMILIES[other].settings.model_fields]
    if others:
        return f"{name}: arch={arch} has no {name}; leave it out, or use arch={' or '.join(others)}"
    return unknown_name("setting", name, list(TrainConfig.fields(arch)))
