"""What a user can set of the attribute classifier's training. Read by the command line, so without loading torch."""

from pydantic import Field

from attgan.training.config import RunConfig


class ClassifierTraining(RunConfig):
    """Train the small network that predicts the attributes of unlabelled faces."""

    width: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Channels after the first layer; each further layer has twice as many.",
    )
    epochs: int = Field(default=6, ge=1, description="Passes over the images.")
    min_steps: int = Field(default=800, ge=1, description="The fewest steps, however few images there are.")
    max_steps: int | None = Field(
        default=None, ge=1, description="The most steps, however many images there are."
    )
    batch_size: int = Field(default=64, ge=2, le=4096, description="Images per step.")
    learning_rate: float = Field(
        default=3e-3,
        gt=0,
        le=1,
        description="The highest learning rate of AdamW: it rises for a tenth of the steps, then falls to 0.",
    )
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="Weight decay of AdamW.")
    patience: int = Field(
        default=5, ge=0, description="Stop after this many validations without a better loss; 0 never stops."
    )
    augment: bool = Field(
        default=False,
        description="Train on faces as photographs show them: moved, toned, grey, blurred, noisy, compressed.",
    )
    rendered: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="Share of the faces without --attribute that are trained on with rendered glasses.",
    )
    attribute: str = Field(default="Eyeglasses", description="The attribute that --rendered adds.")
    validation_images: int = Field(
        default=4096, ge=1, description="The most held-out images that a validation uses."
    )
    explode_above: float = Field(
        default=1e3, gt=0, description="A loss beyond this, or not a number, ends the run as diverged."
    )
    log_every: int = Field(default=50, ge=1, description="Steps between two records of the losses.")
