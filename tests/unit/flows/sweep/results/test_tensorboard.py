"""Event files for TensorBoard, read record by record as its format says."""

import struct
from collections.abc import Iterator

import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from flows.sweep.results.tensorboard import event_file

ROWS = [
    {"kind": "check", "step": 0, "epoch": 0.0, "quality": 0.25},
    {"kind": "step", "step": 1, "network": "discriminator", "learning_rate": 0.001, "total": 3.5},
    {"kind": "step", "step": 2, "network": "generator", "total": None},
    {"kind": "check", "step": 2, "epoch": 0.5, "quality": 0.5},
]


def events(content: bytes) -> Iterator[Event]:
    """The records of TensorFlow's format: length, its checksum, data, its checksum."""
    while content:
        header, check = content[:8], content[8:12]
        (length,) = struct.unpack("<Q", header)
        data, after = content[12 : 12 + length], content[12 + length : 16 + length]
        assert [check, after] == [struct.pack("<I", masked(part)) for part in (header, data)]
        yield Event.FromString(data)
        content = content[16 + length :]


def masked(data: bytes) -> int:
    checksum = crc32c(data)
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_every_number_is_there_under_its_network_and_step() -> None:
    first, *others = events(event_file(ROWS, {}, []))
    assert first.file_version == "brain.Event:2"
    found = {
        (value.tag, event.step): value.simple_value
        for event in others
        for value in event.summary.value
        if value.WhichOneof("value") == "simple_value"
    }
    assert found == {
        ("held out/epoch", 0): 0.0,
        ("held out/quality", 0): 0.25,
        ("discriminator/learning_rate", 1): pytest.approx(0.001),
        ("discriminator/total", 1): 3.5,
        ("held out/epoch", 2): 0.5,
        ("held out/quality", 2): 0.5,
    }


def test_settings_and_metric_are_there_for_the_page_that_compares_trials() -> None:
    settings = {"lambda_reconstruction": 50.0, "strategy": "inverse", "flip": True, "max_steps": 7}
    values = [
        value
        for event in events(event_file(ROWS, settings, ["held out/quality"]))
        for value in event.summary.value
    ]
    hparams = {
        value.tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for value in values
        if value.metadata.plugin_data.plugin_name == "hparams"
    }
    told = hparams["_hparams_/session_start_info"].session_start_info.hparams
    assert {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in told.items()} == settings
    experiment = hparams["_hparams_/experiment"].experiment
    assert [metric.name.tag for metric in experiment.metric_infos] == ["held out/quality"]
