"""Settings of the demos."""

from __future__ import annotations

from pydantic import Field

from flows.settings.base import Settings


class DemoSettings(Settings):
    """The main job on drawn faces, from nothing."""

    images: int = Field(default=400, ge=20, le=100_000, description="How many faces to draw.")
    width: int = Field(default=16, ge=1, le=64, description="Width of the freshly initialised generator.")
    seed: int = Field(default=0, ge=0, description="Seed of the drawn faces and of the generator.")
