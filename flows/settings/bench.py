"""Settings of the bench."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from flows.settings.base import BundleUrl, NodeTimeout, Settings, Url
from flows.settings.durations import AtMostTenMinutes
from flows.settings.groups import RESOURCES
from flows.settings.layout import Layout
from flows.urls import DEFAULT_BUNDLE


class Scenario(Settings):
    """Another cluster, and what it is to edit: ``images=10000000,nodes=20,cpus=16,gpus=1,gbit=25``.

    Attributes:
        images: how many; None where that is known otherwise.
        nodes: of the cluster.
        cpus, gpus, gbit: of each node. ``gbit`` is its network's rate in Gbit/s; None is no limit.
    """

    images: int | None = Field(default=None, ge=1)
    nodes: int = Field(default=1, ge=1)
    cpus: float = Field(gt=0)
    gpus: float = Field(default=0, ge=0)
    gbit: float | None = Field(default=None, gt=0)


def scenario_of(text: str) -> Scenario:
    """Read a scenario.

    Raises:
        ValueError: it is malformed, or a value is out of range.
    """
    try:
        return Scenario.model_validate(dict(part.split("=", 1) for part in text.split(",")))
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        raise ValueError(f"{mistake['loc'][0]}: {mistake['msg']}") from None
    except ValueError:
        raise ValueError("write images=10000000,nodes=20,cpus=16,gpus=1,gbit=25") from None


def _scenario_form(text: str) -> str:
    scenario_of(text)
    return text


WhatIf = Annotated[str, AfterValidator(_scenario_form)]


class EstimateSettings(Settings):
    """Compute how long an edit would take, what bounds it, and what it costs, from rates that were measured before."""

    what_if: list[WhatIf] = Field(
        default=[],
        description="How long it would take on another cluster: images=10000000,nodes=20,cpus=16,gpus=1,gbit=25, "
        "where cpus, gpus and gbit are those of a node. Repeatable.",
    )
    rates: Url | None = Field(
        default=None,
        description="The rates for that: the file of `attgan bench --save`, a finished edit run's folder, or a "
        "destination where one has finished.",
    )
    node_price: float | None = Field(
        default=None, gt=0, description="The price of a node for an hour, in any currency, for the cost."
    )


class BenchSettings(EstimateSettings):
    """Measure the rate that each stage of an edit can reach, and that of the edit flow."""

    layout = Layout(
        common=(
            *("bundle", "destination", "source", "images", "stage_time", "gpus_per_shard", "paste", "seed"),
            *("save", "what_if", "rates", "node_price"),
        ),
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
    stage_time: AtMostTenMinutes = Field(
        default="3s", description="How long each stage is measured; at most 10m."
    )
    shard_size: int = Field(default=500, ge=1, le=100_000, description="Images per task on Ray.")
    batch_size: int = Field(
        default=16, ge=1, le=4096, description="Images per forward pass: 16 for a CPU, 256 for a GPU."
    )
    cpus_per_shard: float = Field(default=1, ge=0.01, description="CPUs that each task on Ray asks for.")
    gpus_per_shard: float = Field(
        default=0, ge=0, le=1, description="GPUs, or the fraction of one, that each task on Ray asks for."
    )
    node_timeout: NodeTimeout = "10m"
    seed: int = Field(default=0, ge=0, description="Seed of the drawn faces.")
    save: Url | None = Field(
        default=None,
        description="Write the measured rates to this JSON file: URL or path. `--rates` reads it.",
    )

    @model_validator(mode="after")
    def _source_and_destination(self) -> Self:
        if self.source is not None and self.destination is None:
            raise ValueError("--source needs a --destination, whose storage is measured with it")
        return self

    @model_validator(mode="after")
    def _what_if(self) -> Self:
        if not self.what_if and (self.rates is not None or self.node_price is not None):
            raise ValueError("--rates and --node-price are for --what-if")
        if any(scenario_of(text).images is None for text in self.what_if):
            raise ValueError("--what-if needs images=N")
        return self
