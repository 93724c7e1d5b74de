"""The networks that a run starts with, and the licence that its result carries."""

from pathlib import Path

import pytest
import torch

from attgan.models import (
    Discriminator,
    DiscriminatorConfig,
    save_bundle,
)
from flows.settings import AlignSettings, InitSettings, TrainSettings
from flows.training.start import Start, joined_licence, licence_line, make_start
from flows.training.weights import init
from tests.support.refusals import refused

PLACES = {"dataset": "d", "destination": "r"}


def test_at_full_width_from_scratch_they_are_the_reports() -> None:
    start = make_start(TrainSettings.model_validate(PLACES))
    count = [
        sum(p.numel() for p in network.parameters()) for network in (start.generator, start.discriminator)
    ]
    assert count == [43_352_707, 44_718_990]
    assert start.discriminator.config == DiscriminatorConfig()


def write_bundle(folder: Path, start: Start, discriminator: Discriminator | None, licence: str = "L") -> str:
    """A bundle of the start's generator."""
    networks = {"generator": start.generator, "discriminator": discriminator}
    save_bundle(folder, **networks, attributes=start.attributes, licence=licence, about="-")
    return str(folder)


def test_table_ones_activations_are_had_from_scratch() -> None:
    chosen = {
        "encoder_activation": "relu",
        "decoder_activation": "leaky_relu",
        "discriminator_activation": "relu",
        "head_activation": "leaky_relu",
        "slope": 0.2,
    }
    small = PLACES | {"size": 64, "width": 2}
    start = make_start(TrainSettings.model_validate(small | chosen))
    generator, discriminator = start.generator.config, start.discriminator.config
    assert (generator.encoder_activation, generator.decoder_activation) == ("relu", "leaky_relu")
    assert (discriminator.activation, discriminator.head_activation) == ("relu", "leaky_relu")
    assert generator.slope == discriminator.slope == 0.2
    assert any(isinstance(module, torch.nn.LeakyReLU) for module in start.generator.dec_layers.modules())


def test_a_bundles_activations_stay_and_those_of_a_new_discriminator_are_chosen(tmp_path: Path) -> None:
    start = make_start(TrainSettings.model_validate(PLACES | {"size": 64, "width": 2}))
    write_bundle(tmp_path / "without", start, None)
    write_bundle(tmp_path / "with", start, start.discriminator)
    for settings_of in (TrainSettings, AlignSettings):
        heads = PLACES | {"head_activation": "leaky_relu"}
        with refused("bundle-fixes-shape", "--head-activation leaky_relu"):
            make_start(settings_of.model_validate(heads | {"bundle": str(tmp_path / "with")}))
        for bundle in ({"bundle": "without"}, {"bundle": "with", "fresh_discriminator": True}):
            settings = heads | bundle | {"bundle": str(tmp_path / str(bundle["bundle"]))}
            made = make_start(settings_of.model_validate(settings))
            assert made.discriminator.config.head_activation == "leaky_relu"
    with refused("bundle-fixes-shape", "--decoder-activation relu"):
        settings = PLACES | {"bundle": str(tmp_path / "with"), "decoder_activation": "relu"}
        make_start(TrainSettings.model_validate(settings))


def test_from_a_bundle_all_is_taken_but_a_discriminator_that_it_lacks_or_that_is_not_wanted(
    tmp_path: Path,
) -> None:
    names = ("Eyeglasses", "Young")
    fresh_ones = {"size": 64, "width": 4, "shortcut_layers": 2, "attributes": list(names), "seed": 9}
    made = make_start(TrainSettings.model_validate(PLACES | fresh_ones))
    write_bundle(tmp_path / "without", made, None)
    write_bundle(tmp_path / "with", made, made.discriminator)
    for settings_of in (TrainSettings, AlignSettings):
        for bundle, new, from_bundle in (
            ("without", False, False),
            ("with", False, True),
            ("with", True, False),
        ):
            settings = settings_of.model_validate(
                PLACES | {"bundle": str(tmp_path / bundle), "fresh_discriminator": new}
            )
            start = make_start(settings)
            assert start.attributes == names
            assert start.generator.config == made.generator.config
            assert torch.equal(
                start.generator.enc_layers[0].layers[0].weight, made.generator.enc_layers[0].layers[0].weight
            )
            same = torch.equal(
                start.discriminator.conv[0].layers[0].weight, made.discriminator.conv[0].layers[0].weight
            )
            assert same == from_bundle
            assert (start.discriminator_from == "freshly initialised") != from_bundle


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (None, "trained on the dataset random: the terms of its images apply"),
        ("for study only", "for study only"),
    ],
)
def test_the_licence_joins_that_of_the_weights_and_that_of_the_data(
    tmp_path: Path, given: str | None, line: str
) -> None:
    scratch = TrainSettings.model_validate(PLACES | {"size": 64, "width": 2, "licence": given})
    start = make_start(scratch)
    assert licence_line(scratch, "random", start) == line
    init(InitSettings(destination=str(tmp_path / "fresh"), image_size=64, width=2))
    untrained = TrainSettings.model_validate(PLACES | {"bundle": str(tmp_path / "fresh"), "licence": given})
    assert licence_line(untrained, "random", make_start(untrained)) == line
    mit = write_bundle(tmp_path / "b", start, None, "MIT")
    bundled = TrainSettings.model_validate(PLACES | {"bundle": mit, "licence": given})
    assert licence_line(bundled, "random", make_start(bundled)) == f"MIT; {line}"


@pytest.mark.parametrize(
    ("before", "data", "joined"),
    [
        (
            "MIT; trained on portraits",
            "MIT; trained on drawn faces",
            "MIT; trained on portraits; trained on drawn faces",
        ),
        ("MIT; trained on portraits", "MIT", "MIT; trained on portraits"),
        ("MIT; trained on portraits", "MIT; trained on portraits", "MIT; trained on portraits"),
        (
            "MIT; trained on portraits",
            "research only; of a lab",
            "MIT; trained on portraits; research only; of a lab",
        ),
    ],
)
def test_a_licence_that_both_have_is_named_once(before: str, data: str, joined: str) -> None:
    assert joined_licence(before, data, "random") == joined
