"""The attribute classifier: a small network that predicts the attributes of unlabelled faces before they are edited.

Five convolutions of stride 2 with batch norm, global mean, one linear layer. Why not torchvision's MobileNetV3-small:
this has to train on two CPU cores in minutes, and depthwise convolutions use a CPU badly. Measured after 40 s of CPU
time on one core, batches of 64 out of 22,780 real faces of 64 px, AdamW with one cycle; 13 attributes, evaluated on
2,298 faces of other people:

=============================  ==========  ================  ========  ===================
network                        parameters  trained images/s  accuracy  Eyeglasses balanced
=============================  ==========  ================  ========  ===================
this one, width 16                   0.4M             2,200     0.928                0.915
this one, width 24                   0.9M             1,200     0.926                0.896
width 16 with residual blocks        1.4M             1,000     0.919                0.871
MobileNetV3-small, half width        0.4M             1,500     0.900                0.822
MobileNetV3-small                    1.5M               900     0.849                0.513
=============================  ==========  ================  ========  ===================

Faces of 128 px and more are first reduced to 64 to 127 px. Without this reduction, 120 s of training on
128 px faces give 0.926 and 0.906; with it, 0.924 and 0.933.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from attgan.models.configs import COLOURS, LAYERS, ClassifierConfig, channels
from attgan.models.layers.blocks import check_images

# Larger faces are reduced to this side or a little more.
INNER_SIZE = 64


class AttributeClassifier(nn.Module):
    """Predicts a face's attributes: those whose logit is above 0, that is a probability above one half.

    Other thresholds were tried on real faces (fitted on 780, evaluated on 1,518 others, mean of 13 attributes). With
    the thresholds that predict the right share of each attribute, accuracy falls from 0.917 to 0.909. With those of the
    highest balanced accuracy, it falls to 0.856, because rare attributes are predicted too often.

    Shapes: N images, S image size, n attributes.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (COLOURS, *channels(config.width))
        self.body = nn.Sequential(*(_layer(sizes[depth], sizes[depth + 1]) for depth in range(LAYERS)))
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
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    """Halve the size: (N, inputs, H, W) → (N, outputs, H/2, W/2)."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
