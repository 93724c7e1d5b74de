"""A small stand-alone network that says which attributes a face has: the source attributes of unlabelled images.

Five convolutions of stride 2 with batch norm, global mean, one linear layer; faces of 128 px and more are first
reduced to 64 to 127 px. Why not torchvision's MobileNetV3-small: this has to train on two CPU cores in minutes, and
depthwise convolutions use a CPU badly. Measured on one core with batches of 64, forward and backward, and after 40 s
of training on 22,780 real faces (64 px, 13 attributes, held-out accuracy and balanced accuracy of Eyeglasses):

==============================  ==========  ==============  ==============  ========  ==========
network                         parameters  trains/s 64 px  predicts/s      accuracy  Eyeglasses
==============================  ==========  ==============  ==============  ========  ==========
this one, width 16                    0.4M           1,740           5,470     0.927       0.910
this one, width 24                    0.7M           1,520           5,290     0.926       0.884
… with a residual block each          1.4M           1,030           2,890     0.919       0.871
MobileNetV3-small, half width         0.4M             890           2,610     0.900       0.822
MobileNetV3-small                     1.5M             490           1,720     0.849       0.513
==============================  ==========  ==============  ==============  ========  ==========
"""

from typing import Annotated, Self

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from attgan.models.blocks import COLOURS, LAYERS, ImageSize, Width, channels, check_images

INNER_SIZE = 64  # faces are reduced towards this side, never below it

Threshold = Annotated[float, Field(gt=-50, lt=50)]


class ClassifierConfig(BaseModel):
    """What a classifier is built from.

    Attributes:
        n_attributes: how many it predicts.
        image_size: a multiple of 32 from 64 up.
        width: channels after the first layer; each further one has twice as many.
        dropout: of the features, in training only.
        thresholds: the logit of each attribute above which it counts as there; empty: 0 for all, that is a
            probability of one half.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_attributes: Annotated[int, Field(ge=1)] = 13
    image_size: ImageSize = 128
    width: Width = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    thresholds: tuple[Threshold, ...] = ()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.thresholds and len(self.thresholds) != self.n_attributes:
            raise ValueError(f"{len(self.thresholds)} thresholds for {self.n_attributes} attributes")
        return self


class AttributeClassifier(nn.Module):
    """Tells a face's attributes. In evaluation mode an image's logits do not depend on the others in its batch.

    Shapes: N images, S image size, n attributes.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (COLOURS, *channels(config.width))
        self.body = nn.Sequential(*(_layer(sizes[depth], sizes[depth + 1]) for depth in range(LAYERS)))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(sizes[-1], config.n_attributes)

    def forward(self, images: Tensor) -> Tensor:
        """Attribute logits (N, n) of (N, 3, S, S) images in [-1, 1].

        Raises:
            ValueError: images of another shape.
        """
        check_images(images, self.config.image_size)
        reduction = self.config.image_size // INNER_SIZE
        if reduction > 1:
            images = F.avg_pool2d(images, reduction)
        features: Tensor = self.body(images)
        logits: Tensor = self.head(self.dropout(features.mean((2, 3))))
        return logits

    def decide(self, logits: Tensor) -> Tensor:
        """Which attributes count as there: (N, n) bool of (N, n) logits."""
        if not self.config.thresholds:
            return logits > 0
        return logits > logits.new_tensor(self.config.thresholds)


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    """Halve the size: (N, inputs, H, W) → (N, outputs, H/2, W/2)."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
