"""What cannot be trained is refused within seconds, in one line that names the option, before anything is written."""

import re
import shutil
from pathlib import Path

import pytest

from attgan.models import inspect_bundle
from flows import cli
from flows.dataset.ingest import ingest
from flows.runtime.exits import WRONG_USE
from flows.settings import IngestSettings, InitSettings, TrainSettings
from flows.training.train.trial import train_trial
from flows.training.weights import init
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.data.foreign_tables import pictures, write_table

SCRATCH = ["--size=64", "--width=2", "--attributes=Eyeglasses", "--attributes=Male", "--batch-size=8"]


def scratch(*changes: str) -> list[str]:
    """The options of a small training from scratch, some of them changed."""
    changed = {change.partition("=")[0] for change in changes}
    return [option for option in SCRATCH if option.partition("=")[0] not in changed] + list(changes)


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTGAN_STACK_FOLDER", str(tmp_path / "no-stack"))
    monkeypatch.setenv("COLUMNS", "250")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert cli.run([*arguments, "--dry-run"]) == WRONG_USE
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line.removeprefix("attgan: ").rstrip()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([*SCRATCH, "--freeze-d=9"], "--freeze-d 9: Input should be less than or equal to 5"),
        (scratch("--batch-size=52"), "--batch-size 52: only 51 images to train on"),
        ([*SCRATCH, "--subset=rest"], "--subset rest: Input should be 'all', 'only' or 'extended'"),
        (
            [*SCRATCH, "--subset=only", "--strategy=alternate"],
            "--strategy alternate: the subset has no image without",
        ),
        ([*SCRATCH, "--judge=there"], "--judge "),
        ([*SCRATCH, "--attribute=Glasses"], "--attribute Glasses: there is no attribute 'Glasses'"),
        (
            ["--attributes=Eyeglases"],
            "--attributes: there is no attribute 'Eyeglases'; did you mean Eyeglasses?",
        ),
        (["--attributes=Male", "--attributes=Male"], "--attributes Male: is named twice"),
        (["--size=128", "--width=2"], "--size 128: --dataset "),
        (["--bundle=there"], "--bundle "),
        (
            [*SCRATCH, "--bundle=there"],
            "--size 64: is what the bundle says; only a training from scratch takes it",
        ),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path, options: list[str], line: str
) -> None:
    out = tmp_path / "out"
    assert refusal(capsys, "train", f"--dataset={dataset}", f"--destination={out}", *options).startswith(line)
    assert not out.exists()


@pytest.mark.parametrize(("share", "kind"), [(0.0, "with"), (1.0, "without")])
def test_alternate_needs_faces_of_both_kinds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, share: float, kind: str
) -> None:
    write_drawn_dataset(tmp_path / "one-kind", 20, parts=1, glasses_share=share)
    places = [f"--dataset={tmp_path / 'one-kind'}", f"--destination={tmp_path / 'out'}"]
    line = refusal(capsys, "train", *places, *SCRATCH, "--strategy=alternate")
    assert line == f"--strategy alternate: the dataset has no image {kind} Eyeglasses to train on"


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
    line = refusal(capsys, "train", *options, "--strategy=alternate")
    assert line.startswith("--strategy alternate: there is no held-out image with Eyeglasses, of 4")


def test_a_dataset_that_is_damaged_or_not_there(
    capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(dataset, damaged)
    part = damaged / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    options = [f"--destination={tmp_path / 'out'}", *SCRATCH]
    line = refusal(capsys, "train", f"--dataset={damaged}", *options)
    assert line.startswith(f"--dataset {damaged}: ")
    assert "part-00001.parquet: is not the file that the manifest names" in line
    (damaged / "manifest.json").unlink()
    line = refusal(capsys, "train", f"--dataset={damaged}", *options)
    assert line.startswith(f"--dataset {damaged}: manifest.json: is not there")
    line = refusal(capsys, "train", f"--dataset={damaged}", f"--destination={damaged}/run", *SCRATCH)
    assert line.startswith(f"--destination {damaged}/run: must not be, hold or lie inside --dataset")


def test_a_run_is_not_written_into_its_judge(
    capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path
) -> None:
    options = [f"--dataset={dataset}", f"--judge={tmp_path / 'judge'}", *SCRATCH]
    line = refusal(capsys, "train", f"--destination={tmp_path / 'judge' / 'run'}", *options)
    assert line.startswith(f"--destination {tmp_path}/judge/run: must not be, hold or lie inside --judge")


def test_a_bundle_must_fit_the_dataset(
    capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path
) -> None:
    init(InitSettings(destination=str(tmp_path / "larger"), image_size=128, width=2))
    places = [f"--dataset={dataset}", f"--destination={tmp_path / 'out'}", f"--bundle={tmp_path / 'larger'}"]
    for command in ("train", "align"):
        line = refusal(capsys, command, *places)
        assert line.startswith(
            f"--bundle {tmp_path / 'larger'}: of 128 px: --dataset {dataset} has faces of 64 pixels"
        )


def test_an_attribute_that_the_dataset_does_not_know(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    columns = {"image": pictures(12), "Eyeglasses": [0, 1] * 6, "Male": [1, 0] * 6}
    write_table(tmp_path / "table.parquet", columns)
    folder = tmp_path / "ingested"
    ingest(IngestSettings(source=str(tmp_path / "table.parquet"), destination=str(folder)))
    options = [f"--dataset={folder}", f"--destination={tmp_path / 'out'}"]
    line = refusal(capsys, "train", *options, *scratch("--attributes=Eyeglasses", "--attributes=Young"))
    assert line.startswith(f"--dataset {folder}: attribute Young: is unknown for 12 of the 12 rows")
    assert cli.run(["train", *options, *SCRATCH, "--dry-run"]) == 0


def test_a_run_goes_on_with_its_own_settings_only(
    capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path
) -> None:
    places = [f"--dataset={dataset}", f"--destination={tmp_path / 'out'}"]
    settings = TrainSettings(
        dataset=str(dataset),
        destination=str(tmp_path / "out"),
        size=64,
        width=2,
        attributes=["Eyeglasses", "Male"],
        batch_size=8,
        max_steps=2,
    )
    first = train_trial(settings)
    assert first["ended"] == "finished"
    assert train_trial(settings)["digest"] == first["digest"]
    assert inspect_bundle(tmp_path / "out" / "bundle").digest == first["digest"]
    for change, line in (
        (["--learning-rate=0.01"], "--learning-rate 0.01: "),
        (["--width=4"], "--width 4: "),
        (["--inject-layers=1"], "--inject-layers 1: "),
        (["--attributes=Eyeglasses", "--attributes=Young"], "--attributes Eyeglasses Young: "),
        (["--subset=only"], "--subset only: "),
        (["--seed=1"], "--seed 1: "),
    ):
        refused = refusal(capsys, "train", *places, *scratch("--max-steps=2", *change))
        assert refused.startswith(line)
        assert "holds a run with" in refused
    line = refusal(capsys, "align", *places, f"--bundle={tmp_path / 'out' / 'bundle'}")
    assert line.startswith("--destination ")


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
