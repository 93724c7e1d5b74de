"""The settings of the networks. They are read without torch, which takes a process seconds to load."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# Five halvings, after which at least 2×2 pixels remain: an instance norm needs more than one.
LAYERS = 5
SIZE_STEP = 2**LAYERS
SMALLEST_SIZE = 2 * SIZE_STEP
# The most channels of any layer, as in the published code.
MAX_CHANNELS = 1024
COLOURS = 3


def _check_size(size: int) -> int:
    if size % SIZE_STEP or size < SMALLEST_SIZE:
        raise ValueError(f"an image size is a multiple of {SIZE_STEP} from {SMALLEST_SIZE} up, not {size}")
    return size


ImageSize = Annotated[int, AfterValidator(_check_size)]
Width = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Norm = Literal["batch", "instance", "none"]
Activation = Literal["relu", "leaky_relu"]
Slope = Annotated[float, Field(ge=0, lt=1)]


def channels(width: int) -> tuple[int, ...]:
    """Channels after each of the five strided convolutions, at most 1024."""
    return tuple(min(width * 2**depth, MAX_CHANNELS) for depth in range(LAYERS))


class GeneratorConfig(BaseModel):
    """Settings of a generator. The defaults are those of the published 128 px weights.

    Attributes:
        n_attributes: length of the attribute vector.
        image_size: a multiple of 32 from 64 up.
        width: channels after the first layer; each further one has twice as many, up to 1024.
        shortcut_layers: decoder layers whose output is joined with the encoder's of the same size (U-Net).
        inject_layers: decoder layers after which the attribute vector is fed in again.
        encoder_norm, decoder_norm: after every convolution but the last one.
        encoder_activation, decoder_activation: the reference study's Table I has "leaky_relu" in the decoder too.
        slope: of the leaky ones, for negative values (the TensorFlow original: 0.2).
        styles: names of the style vector, which follows the attribute vector; none for published weights.
        compositing: how its change is applied to a photograph, as in its training: "direct", see
            :mod:`attgan.editing.compositing`; or "thresholded", which keeps only the strongest changes, for generators
            that were trained on their whole output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_attributes: Annotated[int, Field(ge=1)] = 13
    image_size: ImageSize = 128
    width: Width = 64
    shortcut_layers: Annotated[int, Field(ge=0, le=LAYERS - 1)] = 1
    inject_layers: Annotated[int, Field(ge=0, le=LAYERS - 1)] = 0
    encoder_norm: Norm = "batch"
    decoder_norm: Norm = "batch"
    encoder_activation: Activation = "leaky_relu"
    decoder_activation: Activation = "relu"
    slope: Slope = 0.01
    styles: tuple[str, ...] = ()
    compositing: Literal["thresholded", "direct"] = "thresholded"

    @property
    def n_styles(self) -> int:
        """Length of the style vector."""
        return len(self.styles)

    @property
    def n_inputs(self) -> int:
        """Length of the decoder's input vector: attributes, then styles."""
        return self.n_attributes + self.n_styles


class DiscriminatorConfig(BaseModel):
    """Settings of a discriminator. The defaults are those of the published 128 px training.

    Attributes:
        n_attributes: how many the classifier head predicts.
        image_size: a multiple of 32 from 64 up.
        width: channels after the first layer; each further one has twice as many, up to 1024.
        hidden: units of each head's hidden layer.
        norm: of the convolutions; the heads have none.
        activation, head_activation: of the convolutions, and of the heads' hidden layers.
        slope: of the leaky ones, for negative values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_attributes: Annotated[int, Field(ge=1)] = 13
    image_size: ImageSize = 128
    width: Width = 64
    hidden: Annotated[int, Field(ge=1)] = 1024
    norm: Norm = "instance"
    activation: Activation = "leaky_relu"
    head_activation: Activation = "relu"
    slope: Slope = 0.01


class ClassifierConfig(BaseModel):
    """Settings of a classifier.

    Attributes:
        n_attributes: how many it predicts.
        image_size: a multiple of 32 from 64 up.
        width: channels after the first layer; each further one has twice as many.
        unsure: logits between these two, ends excluded, count as unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_attributes: Annotated[int, Field(ge=1)] = 13
    image_size: ImageSize = 128
    width: Width = 16
    unsure: tuple[float, float] = (0.0, 0.0)
