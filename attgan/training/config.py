"""What a user can set of a training and of an alignment.

A flow's settings inherit these models, so that a field's description is its help text on the command line and in the
form of the UI, and its rule is checked here and nowhere else.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# The same as attgan.models.layers.blocks.LAYERS, which a test checks. Importing it would load torch, for which the
# command line, which reads this file, would have to wait.
_LAYERS = 5

# What may change when a run resumes, because no weight depends on it.
EXECUTION_ONLY = frozenset({"log_every", "checkpoint_every", "no_faces"})


class RunConfig(BaseModel):
    """What every training has in common, the classifier's too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = Field(
        default=True,
        description="Mirror every second image, drawn at random; --flip=false mirrors none, as the reference study and "
        "the sweep's presets of it do.",
    )
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="Seed of everything that is drawn at random."
    )
    validation_share: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of images held out, where the dataset has no validation partition.",
    )
    checkpoint_every: int | None = Field(
        default=None,
        ge=1,
        description="Steps between checkpoints, beside those at validations and when stopped.",
    )


class LoopConfig(RunConfig):
    """What training and alignment have in common. Losses are means over batch, attributes and pixels."""

    adversarial: Literal["wgan", "lsgan", "dcgan"] = Field(
        default="wgan", description="Adversarial loss: wgan as in the reference study, lsgan or dcgan."
    )
    intensities: Literal["fixed", "uniform", "truncated_normal"] = Field(
        default="fixed",
        description="How strongly target attributes are set in training: always 0.5, or drawn up to 1.",
    )
    lambda_classification: float = Field(
        default=1, ge=0, description="Weight of the attribute loss on real faces, for the discriminator."
    )
    lambda_penalty: float = Field(default=10, ge=0, description="Weight of the gradient penalty.")
    batch_size: int = Field(default=128, ge=2, le=4096, description="Images per step.")
    learning_rate: float = Field(
        default=1e-4, gt=0, le=1, description="Learning rate of Adam, after the warm-up."
    )
    adam_beta1: float = Field(default=0.5, ge=0, lt=1, description="First decay rate of Adam.")
    adam_beta2: float = Field(default=0.999, ge=0, lt=1, description="Second decay rate of Adam.")
    epochs: int = Field(default=30, ge=1, description="The most passes over the images to edit.")
    max_steps: int | None = Field(
        default=None, ge=1, description="Stop after this many steps, if the epochs have more."
    )
    discriminator_warmup: float = Field(
        default=1, ge=0, description="Epochs in which the discriminator's learning rate rises from 0."
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        default="constant", description="The learning rate after the warm-up: constant, or down to 0."
    )
    clip_gradients: float | None = Field(
        default=None, gt=0, description="The largest norm of a network's gradient; unlimited by default."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Number format of convolutions and linear layers; auto: bfloat16 on a GPU, float32 on a CPU. "
        "The reference study "
        "computed in float32.",
    )
    checks_per_epoch: int = Field(default=4, ge=1, description="Validations in each epoch.")
    validation_images: int = Field(
        default=512, ge=2, description="The most held-out images that a validation uses."
    )
    explode_above: float = Field(
        default=1e6, gt=0, description="A loss beyond this, or not a number, ends the run as diverged."
    )
    log_every: int = Field(default=20, ge=1, description="Steps between two records of the losses.")
    no_faces: bool = Field(
        default=False, description="Show no face: write no pictures of original and edited faces."
    )


class TrainingConfig(LoopConfig):
    """Train AttGAN for one attribute, or all of them, from a bundle or from scratch."""

    strategy: Literal["permutation", "inverse", "alternate", "paired"] = Field(
        default="inverse",
        description="Which images the networks see, and with which target attributes. paired: bare faces, and the same "
        "faces with rendered glasses, without an adversary.",
    )
    attribute: str = Field(default="Eyeglasses", description="The attribute that is to be edited.")
    subset: Literal["all", "only", "extended"] = Field(
        default="all",
        description="Images to train on: all; only those with the attribute; or extended: those, and twice as many "
        "others, drawn by the seed, or all others if they are fewer. The held-out ones are the same for all three.",
    )
    lambda_reconstruction: float = Field(default=100, ge=0, description="Weight of the reconstruction loss.")
    lambda_attributes: float = Field(
        default=10, ge=0, description="Weight of the attribute loss on edited faces, for the generator."
    )
    lambda_pairs: float = Field(
        default=100,
        ge=0,
        description="Strategy paired: weight of the distance between composite and rendered glasses.",
    )
    lambda_edges: float = Field(
        default=50, ge=0, description="Strategy paired: weight of the distance between their image gradients."
    )
    pair_variants: int = Field(
        default=8, ge=1, le=256, description="Strategy paired: glasses rendered for each bare face."
    )
    discriminator_steps: int = Field(
        default=3, ge=1, le=100, description="Discriminator steps for each generator step."
    )
    generator_warmup: float = Field(
        default=2, ge=0, description="Epochs in which the generator's learning rate rises from 0."
    )
    patience: int = Field(
        default=20,
        ge=0,
        description="Stop after this many epochs without a better generator loss, measured at each epoch's end; 0 "
        "never stops.",
    )
    freeze_d: int = Field(
        default=0,
        ge=0,
        le=_LAYERS,
        description="FreezeD: how many of the discriminator's lowest convolution layers stay as they are.",
    )


class AlignmentConfig(LoopConfig):
    """Train a discriminator against a frozen generator until it is in step with it."""

    random_images: int | None = Field(
        default=70_000,
        ge=1,
        description="The most images of the dataset to train on, drawn at random by the seed, as in the "
        "reference study.",
    )
    critic_accuracy: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Stop only when this share of the held-out faces is classified correctly as real or edited.",
    )
    classifier_accuracy: float = Field(
        default=0.9, ge=0, le=1, description="Stop only when this share of their attributes is recognised."
    )
    patience: int = Field(
        default=4, ge=1, description="Stop only when the loss has been flat for this many validations."
    )
    flatness: float = Field(
        default=0.02, ge=0, lt=1, description="An improvement below this share of the loss counts as flat."
    )
