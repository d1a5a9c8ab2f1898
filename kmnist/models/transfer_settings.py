"""The settings of transfer learning. Knows no torch."""

from pydantic import Field

from kmnist.settings import Settings

IMAGENET, NONE = "imagenet", "none"  # MLflow cannot pass an empty text


class TransferSettings(Settings):
    """Where the first weights come from, and what becomes of them."""

    init_from: str = Field(
        NONE,
        description="begin with the weights of a model (models:/..., runs:/...), of a checkpoint, of a .safetensors "
        f"file, or {IMAGENET} (torchvision's, for its networks); {NONE}: drawn from the seed",
    )
    freeze: str = Field(
        NONE, description=f"layers whose weights stay as they begin, comma-separated: conv1,norm1; {NONE}: no layer"
    )
    kept_rate: float = Field(
        1.0, gt=0, le=1, description="share of the learning rate for the weights that init_from gave"
    )
