"""Settings of the bench."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from flows.settings.base import BundleUrl, NodeTimeout, Settings, Url
from flows.settings.groups import RESOURCES
from flows.settings.layout import Layout
from flows.urls import DEFAULT_BUNDLE


class BenchSettings(Settings):
    """Measure the rate that each stage of an edit can reach, and that of the edit flow."""

    layout = Layout(
        common=("bundle", "destination", "source", "images", "seconds", "gpus_per_shard", "paste", "seed"),
        groups=(RESOURCES,),
    )

    bundle: BundleUrl = Field(
        default=DEFAULT_BUNDLE, description="The model to measure with: URL, path, or `default`."
    )
    destination: Url | None = Field(
        default=None,
        description="Storage to measure, s3://bucket/prefix or a folder. Everything is written below a new prefix "
        "there, and deleted at the end. By default a bucket on the local stack's S3 server.",
    )
    source: Url | None = Field(
        default=None,
        description="Images to measure with, which are only read. By default drawn faces, written below the "
        "destination.",
    )
    paste: Literal["difference", "whole"] = Field(
        default="difference",
        description="As in `attgan edit`: `difference` takes two passes through the generator, `whole` one.",
    )
    images: int = Field(default=2000, ge=1, description="How many images are edited.")
    seconds: float = Field(default=3.0, gt=0, le=600, description="How long each stage is measured.")
    shard_size: int = Field(default=500, ge=1, le=100_000, description="Images per task on Ray.")
    batch_size: int = Field(
        default=16, ge=1, le=4096, description="Images per forward pass: 16 for a CPU, 256 for a GPU."
    )
    cpus_per_shard: float = Field(default=1, ge=0.01, description="CPUs that each task on Ray asks for.")
    gpus_per_shard: float = Field(
        default=0, ge=0, le=1, description="GPUs, or the fraction of one, that each task on Ray asks for."
    )
    node_timeout: NodeTimeout = 10
    seed: int = Field(default=0, ge=0, description="Seed of the drawn faces.")

    @model_validator(mode="after")
    def _source_and_destination(self) -> Self:
        if self.source is not None and self.destination is None:
            raise ValueError("--source needs a --destination, whose storage is measured with it")
        return self
