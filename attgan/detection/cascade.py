"""The three networks of MTCNN, each more accurate and slower than the one before, and their weights.

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks", 2016, figure 2. The
numbers of channels are those of the weights, whose source is in README.md.

Shapes: N images, RGB in [-1, 1].
"""

from __future__ import annotations

from collections import OrderedDict
from importlib import resources

import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

WEIGHTS = "mtcnn.safetensors"
# Side of the proposal network's windows, and the distance between them, in pixels.
WINDOW, STRIDE = 12, 2
REFINEMENT_CROP = 24
OUTPUT_CROP = 48


class ProposalNet(nn.Module):
    """For every window of 12×12 pixels, two pixels apart: is it a face, and where exactly?"""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(3, 10, 3),
                prelu1=nn.PReLU(10),
                pool1=nn.MaxPool2d(2, 2, ceil_mode=True),
                conv2=nn.Conv2d(10, 16, 3),
                prelu2=nn.PReLU(16),
                conv3=nn.Conv2d(16, 32, 3),
                prelu3=nn.PReLU(32),
            )
        )
        self.face = nn.Conv2d(32, 2, 1)
        self.box = nn.Conv2d(32, 4, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities ``(N, h, w)`` and box corrections ``(N, 4, h, w)`` of ``(N, 3, H, W)``."""
        # (N, h, w, 32): a linear layer over the last axis is the 1×1 convolution.
        features = self.body(image).permute(0, 2, 3, 1)
        face, box = (F.linear(features, head.weight.flatten(1), head.bias) for head in (self.face, self.box))
        return face.softmax(3)[..., 1], box.permute(0, 3, 1, 2)


class RefinementNet(nn.Module):
    """For crops of 24×24 pixels: is it a face, and where exactly?"""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(3, 28, 3),
                prelu1=nn.PReLU(28),
                pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
                conv2=nn.Conv2d(28, 48, 3),
                prelu2=nn.PReLU(48),
                pool2=nn.MaxPool2d(3, 2),
                conv3=nn.Conv2d(48, 64, 2),
                prelu3=nn.PReLU(64),
                flatten=nn.Flatten(),
                dense=nn.Linear(576, 128),
                prelu_dense=nn.PReLU(128),
            )
        )
        self.face = nn.Linear(128, 2)
        self.box = nn.Linear(128, 4)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities ``(N,)`` and box corrections ``(N, 4)`` of ``(N, 3, 24, 24)``."""
        features = self.body(crops)
        return self.face(features).softmax(1)[:, 1], self.box(features)


class OutputNet(nn.Module):
    """For crops of 48×48 pixels: is it a face, where exactly, and where are its five landmarks?"""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(3, 32, 3),
                prelu1=nn.PReLU(32),
                pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
                conv2=nn.Conv2d(32, 64, 3),
                prelu2=nn.PReLU(64),
                pool2=nn.MaxPool2d(3, 2),
                conv3=nn.Conv2d(64, 64, 3),
                prelu3=nn.PReLU(64),
                pool3=nn.MaxPool2d(2, 2, ceil_mode=True),
                conv4=nn.Conv2d(64, 128, 2),
                prelu4=nn.PReLU(128),
                flatten=nn.Flatten(),
                dense=nn.Linear(1152, 256),
                prelu_dense=nn.PReLU(256),
            )
        )
        self.face = nn.Linear(256, 2)
        self.box = nn.Linear(256, 4)
        self.landmarks = nn.Linear(256, 10)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of ``(N, 3, 48, 48)``: probabilities ``(N,)``, box corrections ``(N, 4)`` and landmarks ``(N, 5, 2)``.

        Landmarks are x and y in shares of the crop's side.
        """
        features = self.body(crops)
        landmarks = self.landmarks(features).unflatten(1, (2, 5)).transpose(1, 2)
        return self.face(features).softmax(1)[:, 1], self.box(features), landmarks


class Cascade(nn.Module):
    """The three networks."""

    def __init__(self) -> None:
        super().__init__()
        self.proposal = ProposalNet()
        self.refinement = RefinementNet()
        self.output = OutputNet()


def load_cascade() -> Cascade:
    """The networks with the weights of this package, float32, on the CPU, in evaluation mode."""
    cascade = Cascade()
    cascade.load_state_dict(load((resources.files(__package__) / WEIGHTS).read_bytes()))
    return cascade.eval().requires_grad_(False)
