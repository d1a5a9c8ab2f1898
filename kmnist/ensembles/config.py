"""``EnsembleConfig``: what builds an ensemble, as ``TrainConfig`` builds one network."""

from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, get_args

from pydantic import Field

from kmnist.config import TrainConfig
from kmnist.errors import SettingError
from kmnist.settings import Settings

Kind: TypeAlias = Literal["vote", "bag", "boost", "stack"]
VOTE, BAG, BOOST, STACK = KINDS = get_args(Kind)
MOST_MEMBERS = 24
MOST_TTA = 3


class _EnsembleSettings(Settings):
    """Those that are no member's."""

    kind: Kind
    tta: int = Field(0, ge=0, le=MOST_TTA)
    members: tuple[dict[str, str], ...] = Field(min_length=1, max_length=MOST_MEMBERS)


@dataclass(frozen=True)
class EnsembleConfig:
    """What an ensemble is, without the numbers that it has learnt.

    Attributes:
        kind: how the members' answers become one: their mean (``vote``, ``bag``), by SAMME (``boost``), or by a
            logistic regression (``stack``).
        tta: by up to how many pixels each image is shifted, up, down, left and right, to be answered for again.
        members: the settings that each was trained with.
    """

    kind: Kind
    tta: int
    members: tuple[TrainConfig, ...]

    @property
    def splits(self) -> tuple[tuple[float, int], ...]:
        """The splits that its members were trained on, each once: ``valid_fraction``, and the seed of the split."""
        return tuple(dict.fromkeys(split for member in self.members for split in member.splits))

    @property
    def arch(self) -> str:
        """Of its members: ``vote of 3 cnn``."""
        return f"{self.kind} of {len(self.members)} {', '.join(dict.fromkeys(member.arch for member in self.members))}"

    def to_json(self) -> dict[str, Any]:
        """As JSON values, which :meth:`from_json` reads back."""
        return {"kind": self.kind, "tta": self.tta, "members": [member.as_text() for member in self.members]}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read what :meth:`to_json` gave.

        Raises:
            SettingError: it is something else.
        """
        if not isinstance(values, dict):
            raise SettingError("ensemble: must be a mapping of kind, tta and members")
        found = _EnsembleSettings.parse(values, "ensemble.")
        return cls(found.kind, found.tta, tuple(TrainConfig.parse(member) for member in found.members))
