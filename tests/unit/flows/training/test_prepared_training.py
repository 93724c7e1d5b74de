"""What cannot be trained is refused within seconds, in one line that names the option, before anything is written."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from attgan.models import inspect_bundle
from flows import cli
from flows.dataset.ingest import ingest
from flows.runtime.exits import WRONG_USE
from flows.settings import IngestSettings, TrainSettings
from flows.training.trial import train_trial
from tests.support.data.foreign_tables import pictures, write_table
from tests.support.refusals import codes_in

SCRATCH = ["--size=64", "--width=2", "--attributes=Eyeglasses", "--attributes=Male", "--batch-size=8"]


def scratch(*changes: str) -> list[str]:
    """The options of a small training from scratch, some of them changed."""
    changed = {change.partition("=")[0] for change in changes}
    return [option for option in SCRATCH if option.partition("=")[0] not in changed] + list(changes)


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTGAN_STACK_FOLDER", str(tmp_path / "no-stack"))
    monkeypatch.setenv("COLUMNS", "250")


def refusal(capsys: pytest.CaptureFixture[str], code: str, *arguments: str) -> str:
    """The line of a refusal with this code."""
    capsys.readouterr()
    assert cli.run([*arguments, "--dry-run"]) == WRONG_USE
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert codes_in(line) == [code], line
    return line.partition("] ")[2].rstrip()


@pytest.mark.parametrize(
    ("options", "code", "option"),
    [
        ([*SCRATCH, "--freeze-d=9"], "setting-invalid", "--freeze-d 9: "),
        (scratch("--batch-size=52"), "batch-too-large", "--batch-size 52: "),
        (
            [*SCRATCH, "--subset=only", "--strategy=alternate"],
            "training-rows-missing",
            "--strategy alternate: ",
        ),
        ([*SCRATCH, "--judge=there"], "directory-missing", "--evaluator "),
        ([*SCRATCH, "--attribute=Glasses"], "attribute-unknown", "--attribute Glasses: "),
        (["--attributes=Male", "--attributes=Male"], "attribute-repeated", "--attributes Male: "),
        (["--size=128", "--width=2"], "size-above-stored", "--size 128: --dataset "),
        ([*SCRATCH, "--bundle=there"], "bundle-fixes-shape", "--size 64: "),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str],
    dataset: Path,
    tmp_path: Path,
    options: list[str],
    code: str,
    option: str,
) -> None:
    out = tmp_path / "out"
    places = [f"--dataset={dataset}", f"--destination={out}"]
    assert refusal(capsys, code, "train", *places, *options).startswith(option)
    assert not out.exists()


def test_alternate_needs_held_out_faces_of_both_kinds_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    columns = {
        "image": pictures(24),
        "Eyeglasses": [0, 1] * 10 + [0] * 4,
        "Male": [1, 0] * 12,
        "split": ["train"] * 20 + ["valid"] * 4,
    }
    write_table(tmp_path / "table.parquet", columns)
    folder = tmp_path / "ingested"
    ingest(IngestSettings(source=str(tmp_path / "table.parquet"), destination=str(folder)))
    options = [f"--dataset={folder}", f"--destination={tmp_path / 'out'}", *SCRATCH]
    line = refusal(capsys, "held-out-rows-missing", "train", *options, "--strategy=alternate")
    assert line.startswith("--strategy alternate: ")


def test_a_dataset_that_is_damaged_or_not_there(
    capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(dataset, damaged)
    part = damaged / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    options = [f"--destination={tmp_path / 'out'}", *SCRATCH]
    line = refusal(capsys, "dataset-damaged", "train", f"--dataset={damaged}", *options)
    assert line.startswith(f"--dataset {damaged}: ")
    assert "part-00001.parquet" in line
    (damaged / "manifest.json").unlink()
    line = refusal(capsys, "manifest-missing", "train", f"--dataset={damaged}", *options)
    assert line.startswith(f"--dataset {damaged}: manifest.json: ")
    places = [f"--dataset={damaged}", f"--destination={damaged}/run"]
    refusal(capsys, "destination-overlaps-source", "train", *places, *SCRATCH)


def test_an_attribute_that_the_dataset_does_not_know(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    columns = {"image": pictures(12), "Eyeglasses": [0, 1] * 6, "Male": [1, 0] * 6}
    write_table(tmp_path / "table.parquet", columns)
    folder = tmp_path / "ingested"
    ingest(IngestSettings(source=str(tmp_path / "table.parquet"), destination=str(folder)))
    options = [f"--dataset={folder}", f"--destination={tmp_path / 'out'}"]
    attributes = scratch("--attributes=Eyeglasses", "--attributes=Young")
    line = refusal(capsys, "attribute-unlabelled", "train", *options, *attributes)
    assert line.startswith(f"--dataset {folder}: attribute Young: ")
    assert cli.run(["train", *options, *SCRATCH, "--dry-run"]) == 0


def test_a_run_goes_on_with_its_own_settings_only(
    capsys: pytest.CaptureFixture[str],
    small_settings: Callable[..., TrainSettings],
    dataset: Path,
    tmp_path: Path,
) -> None:
    places = [f"--dataset={dataset}", f"--destination={tmp_path / 'out'}"]
    settings = small_settings(max_steps=2)
    first = train_trial(settings)
    assert first["ended"] == "finished"
    assert train_trial(settings)["digest"] == first["digest"]
    assert inspect_bundle(tmp_path / "out" / "bundle").digest == first["digest"]
    for change, option in (
        (["--learning-rate=0.01"], "--learning-rate 0.01: "),
        (["--width=4"], "--width 4: "),
        (["--head-activation=leaky_relu"], "--head-activation leaky_relu: "),
        (["--attributes=Eyeglasses", "--attributes=Young"], "--attributes Eyeglasses Young: "),
        (["--seed=1"], "--seed 1: "),
    ):
        line = refusal(capsys, "run-settings-differ", "train", *places, *scratch("--max-steps=2", *change))
        assert line.startswith(option)
    refusal(
        capsys, "destination-overlaps-source", "align", *places, f"--bundle={tmp_path / 'out' / 'bundle'}"
    )


def test_a_dry_run_says_what_would_be_trained(
    capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path
) -> None:
    places = [f"--dataset={dataset}", f"--destination={tmp_path / 'out'}"]
    assert cli.run(["train", *places, *SCRATCH, "--strategy=alternate", "--freeze-d=1", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "51 to train on, 9 held out",
        "3 for the discriminator",
        "conv.0.layers.0.weight",
        "Eyeglasses, Male",
    ):
        assert words in printed
    assert "43,671 parameters" in printed
    assert cli.run(["train", *places, *SCRATCH, "--subset=only", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"\d+ to train on, 9 held out \(only: out of 51\)", printed)
    assert "the discriminator that is being trained" in printed
    assert not (tmp_path / "out").exists()
