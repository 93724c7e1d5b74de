"""A batch of faces in, the same faces with other attributes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from attgan.models import Generator

EDIT_FORMAT = 1
"""Raised whenever the same input and settings would give other pixels; part of every run's fingerprint."""


@dataclass(frozen=True)
class Editor:
    """A generator on its device, ready to edit.

    Attributes:
        generator: in evaluation mode, on ``device``, channels last.
        device: where it runs.
        batch_size: of every forward pass; a smaller rest is padded to it, because another size may choose other
            kernels and so other bits (on a GPU often, on a CPU for some narrow generators).
    """

    generator: Generator
    device: torch.device
    batch_size: int

    @property
    def size(self) -> int:
        """Side of the square faces it takes, in pixels."""
        return self.generator.config.image_size

    def edit(self, faces: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Edit faces.

        Args:
            faces: ``(N, S, S, 3)`` uint8, RGB.
            targets: ``(N, n)`` float32, the attribute vectors that the results are to have, as the network is fed.

        Returns:
            ``(N, S, S, 3)`` uint8, RGB.
        """
        batches = range(0, len(faces), self.batch_size)
        edited = [
            self._forward(faces[i : i + self.batch_size], targets[i : i + self.batch_size]) for i in batches
        ]
        return np.concatenate(edited) if edited else faces

    def _forward(self, faces: np.ndarray, targets: np.ndarray) -> np.ndarray:
        count = len(faces)
        padding = self.batch_size - count
        faces = np.concatenate([faces, np.repeat(faces[-1:], padding, axis=0)])  # (B, S, S, 3)
        targets = np.concatenate([targets, np.repeat(targets[-1:], padding, axis=0)])  # (B, n)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, self.device.type == "cuda"),
        ):
            batch = torch.from_numpy(faces).to(self.device).permute(0, 3, 1, 2)  # (B, 3, S, S), channels last
            result = self.generator(batch.float() / 127.5 - 1, torch.from_numpy(targets).to(self.device))
            pixels = ((result.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
        return pixels[:count].permute(0, 2, 3, 1).contiguous().cpu().numpy()


def make_editor(generator: Generator, device: str, batch_size: int) -> Editor:
    """Put a generator on ``device`` (``cpu``, ``cuda``, ``cuda:1`` …) in evaluation mode and wrap it."""
    placed = torch.device(device)
    ready = generator.eval().requires_grad_(False).to(placed, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Editor(ready, placed, batch_size)
