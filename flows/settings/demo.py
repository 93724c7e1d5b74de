"""Settings of the demos."""

from __future__ import annotations

from pydantic import Field

from flows.settings.base import Settings


class DemoSettings(Settings):
    """Draw faces, make a dataset and edit the faces."""

    # With fewer, possibly none of the faces or more than a third wears glasses, and no extended subset can be made.
    images: int = Field(default=400, ge=60, le=100_000, description="How many faces to draw.")
    seed: int = Field(
        default=1,
        ge=0,
        description="Seed of the drawn faces; the shipped bundle was trained on those of seed 0.",
    )


class DemoTrainingSettings(Settings):
    """Train on drawn faces: from scratch, align, fine-tune, and measure against true pairs."""

    images: int = Field(default=4000, ge=60, le=100_000, description="How many faces to draw.")
    size: int = Field(default=64, ge=64, multiple_of=32, description="Side of the faces that are trained on.")
    width: int = Field(default=12, ge=1, le=256, description="Width of both networks; 64 is full width.")
    batch_size: int = Field(default=16, ge=2, description="Images per step.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Learning rate of all three trainings.")
    discriminator_steps: int = Field(
        default=2, ge=1, description="Discriminator steps for each generator step."
    )
    scratch_steps: int = Field(
        default=5000, ge=1, description="Steps of the training from scratch, with Permutation."
    )
    align_steps: int = Field(default=1000, ge=1, description="The most steps of the alignment.")
    tune_steps: int = Field(
        default=6000, ge=1, description="Steps of the fine-tuning for eyeglasses, with Inverse."
    )
    freeze_d: int = Field(default=4, ge=0, le=5, description="Layers frozen while fine-tuning.")
    pairs: int = Field(default=100, ge=1, description="Pairs of held-out faces to measure with.")
    seed: int = Field(default=0, ge=0, description="Seed of the faces and of the trainings.")
    quick: bool = Field(
        default=False, description="Run every step for a few seconds, without a useful result."
    )

    @property
    def resolved(self) -> DemoTrainingSettings:
        """The settings with the values that ``quick`` sets."""
        return self.model_copy(update=_QUICK) if self.quick else self


_QUICK = {
    "images": 80,
    "width": 2,
    "batch_size": 8,
    "scratch_steps": 12,
    "align_steps": 6,
    "tune_steps": 6,
    "pairs": 6,
}
