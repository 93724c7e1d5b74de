"""A run on drawn faces: what it leaves, that an interruption changes nothing, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from attgan.data.loading.loader import Faces
from attgan.errors import Diverged
from attgan.models import load_bundle
from attgan.models.folder import Folder
from attgan.training.networks import digest
from attgan.training.run_folder.checkpoint import read_checkpoint
from attgan.training.run_folder.progress import Outcome, Progress
from tests.support.refusals import refused
from tests.support.small_training import (
    CARD,
    open_small,
    record_order,
    small_config,
    small_discriminator,
    small_train,
    stop_after,
)

# 72 rows in batches of 6, 3 epochs.
STEPS = 36


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in every if row["kind"] == kind]


def last_state(folder: Path) -> dict[str, str]:
    """sha256 of every file of the newest checkpoint: networks, optimisers, step, stop rule, best."""
    return json.loads((folder / "checkpoints/latest.json").read_text())["checkpoints"][0]


@pytest.fixture(scope="module")
def finished(
    small_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome, list[Progress]]:
    folder, told = tmp_path_factory.mktemp("finished"), []
    with open_small(small_data) as faces:
        outcome = small_train(faces, folder, small_config(freeze_d=2), on_progress=told.append)
    return folder, outcome, told


def test_a_finished_run_leaves_its_bundle_numbers_and_pictures(finished: Any) -> None:
    folder, outcome, told = finished
    assert (outcome.ended, outcome.step, outcome.epoch) == ("finished", STEPS, 3.0)
    steps = rows(folder, "step")
    assert [row["step"] for row in steps] == list(range(1, STEPS + 1))
    networks = [row["network"] for row in steps]
    assert networks == ["discriminator", "discriminator", "generator"] * (STEPS // 3)
    assert [row["step"] for row in rows(folder, "check")] == list(range(0, STEPS + 1, 6))
    grids = sorted(path.name for path in (folder / "grids").iterdir())
    assert grids == [f"step-{step:010d}.jpg" for step in (0, 12, 24, 36)]
    for picture in (folder / "curves.png", *(folder / "grids").iterdir()):
        assert np.asarray(Image.open(picture).convert("L")).std() > 10
    progress = json.loads((folder / "progress.json").read_text())
    assert (progress["state"], progress["step"], progress["steps"]) == ("finished", STEPS, STEPS)
    assert told[-1].step == STEPS
    assert told[-1].images_per_second > 0
    assert {each.state for each in told} == {"training", "finished"}


def test_the_result_is_the_best_by_quality(finished: Any) -> None:
    folder, outcome, _ = finished
    checks = {row["step"]: row for row in rows(folder, "check") if row["step"]}
    assert checks[outcome.best_step]["quality"] == max(row["quality"] for row in checks.values())
    assert outcome.best["quality"] == checks[outcome.best_step]["quality"]
    result = load_bundle(folder / "bundle")
    best = load_bundle(folder / f"best/step-{outcome.best_step:010d}")
    assert result.digest == outcome.digest
    assert digest(result.generator) == digest(best.generator)
    assert result.config.licence == CARD.licence
    assert "| quality |" in result.card
    assert result.discriminator is not None
    assert 1 <= len(list((folder / "best").iterdir())) <= 2


def test_where_nobody_can_judge_edits_the_result_is_the_last_state_and_it_says_so(
    small_faces: Faces, tmp_path: Path
) -> None:
    told: list[Progress] = []
    config = small_config(strategy="alternate", batch_size=5, max_steps=8)
    outcome = small_train(small_faces, tmp_path, config, on_progress=told.append)
    words = "alternate shows the discriminator only images with Eyeglasses, so that it cannot score edits"
    for line in (outcome.reason, told[0].note, told[-1].note):
        assert words in line
        assert line.endswith("the result is the last state")
    assert outcome.best_step == outcome.step == 8
    assert not (tmp_path / "best").exists()
    assert all("quality" not in row and "edited_accuracy" not in row for row in rows(tmp_path, "check"))
    last = load_file(tmp_path / "checkpoints/step-0000000008/generator.safetensors")
    kept = load_bundle(tmp_path / "bundle").generator.state_dict()
    assert all(torch.equal(tensor, last[name]) for name, tensor in kept.items())


def test_frozen_layers_are_named_at_the_start_and_stay_bit_for_bit(finished: Any) -> None:
    folder, _, told = finished
    before = small_discriminator().state_dict()
    after = load_file(next((folder / "checkpoints").glob(f"step-{STEPS:010d}/discriminator.safetensors")))
    for name, tensor in before.items():
        frozen = name.startswith(("conv.0.", "conv.1."))
        assert torch.equal(after[name], tensor) == frozen, name
        assert (name in told[0].note) == frozen


def test_a_finished_run_returns_its_result_without_training(finished: Any, small_faces: Faces) -> None:
    folder, outcome, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    told: list[Progress] = []
    assert small_train(small_faces, folder, small_config(freeze_d=2), on_progress=told.append) == outcome
    assert not told
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "inverse"},
        {"strategy": "alternate", "batch_size": 5, "intensities": "uniform", "schedule": "cosine"}
        | {"adversarial": "lsgan", "clip_gradients": 0.5, "checkpoint_every": 1},
    ],
    ids=["inverse", "alternate"],
)
def test_stopped_at_any_steps_it_ends_with_the_very_same_bits(
    small_faces: Faces, tmp_path: Path, settings: dict[str, Any]
) -> None:
    config = small_config(**settings, max_steps=11)
    record_order(small_faces, tmp_path / "order")
    small_train(small_faces, tmp_path / "whole", config)
    order = (tmp_path / "order").read_text().splitlines()
    (tmp_path / "order").unlink()
    resumed = []
    for calls in (1, 4, 99):
        outcome = small_train(small_faces, tmp_path / "parts", config, should_stop=stop_after(calls))
        resumed.append(outcome.resumed_from)
        assert outcome.ended == ("stopped" if calls < 99 else "finished")
    assert resumed == [None, 1, 5]
    assert (tmp_path / "order").read_text().splitlines() == order
    for name in ("metrics.jsonl", "curves.png", "bundle/config.json", "bundle/README.md"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert last_state(tmp_path / "parts") == last_state(tmp_path / "whole")


def test_each_step_has_a_batch_of_its_own(small_faces: Faces, tmp_path: Path) -> None:
    record_order(small_faces, tmp_path / "order")
    small_train(small_faces, tmp_path / "run", small_config(strategy="alternate", batch_size=5, max_steps=8))
    taken = [json.loads(line) for line in (tmp_path / "order").read_text().splitlines()]
    glasses = small_faces.attributes.index("Eyeglasses")
    # Two discriminator steps, one of the generator, which is shown nothing real; both streams in their own count.
    names = [name for name, _, _ in taken]
    assert names == (["source", "real"] * 2 + ["source"]) * 2 + ["source", "real"] * 2
    for stream, has in (("source", False), ("real", True)):
        batches = [(number, batch) for name, number, batch in taken if name == stream]
        assert [number for number, _ in batches] == list(range(len(batches)))
        for _, batch in batches:
            assert (small_faces.labels[batch, glasses] == has).all()
            assert np.isin(batch, small_faces.training).all()


def test_a_run_of_which_nothing_was_kept_may_start_over_with_other_settings(
    small_faces: Faces, tmp_path: Path
) -> None:
    with pytest.raises(Diverged):
        small_train(small_faces, tmp_path, small_config(lambda_penalty=1e39))
    before = rows(tmp_path, "check")
    assert [row["step"] for row in before] == [0]
    assert small_train(small_faces, tmp_path, small_config(max_steps=2, lambda_classification=7)).ended
    small_train(small_faces, tmp_path / "whole", small_config(max_steps=2, lambda_classification=7))
    assert (tmp_path / "metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()
    assert [row["step"] for row in rows(tmp_path, "check")] == [0, 2]
    assert rows(tmp_path, "check")[0] != before[0], "a validation of the run that diverged"


def test_a_run_that_is_taken_over_ends_and_touches_nothing_more(small_faces: Faces, tmp_path: Path) -> None:
    config = small_config(checkpoint_every=2, max_steps=9)
    whole = small_train(small_faces, tmp_path / "whole", config)
    run, calls, left = tmp_path / "run", iter(range(99)), {}

    def second_comes_at_step_5() -> bool:
        if next(calls) == 5:
            other = small_train(small_faces, run, config)
            assert (other.resumed_from, other.digest) == (4, whole.digest)
            left.update({path: path.read_bytes() for path in run.rglob("*") if path.is_file()})
        return False

    with refused("run-taken-over"):
        small_train(small_faces, run, config, should_stop=second_comes_at_step_5)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == left
    assert last_state(run) == last_state(tmp_path / "whole")
    assert (run / "metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


def test_a_loss_that_explodes_ends_the_run_with_the_state_before(small_faces: Faces, tmp_path: Path) -> None:
    config = small_config(explode_above=1e9, checks_per_epoch=4)
    small_train(small_faces, tmp_path, config, should_stop=stop_after(7))
    (tmp_path / "run.json").write_text((tmp_path / "run.json").read_text().replace("1000000000.0", "20.0"))
    with pytest.raises(Diverged) as error:
        small_train(small_faces, tmp_path, small_config(explode_above=20, checks_per_epoch=4))
    line = str(error.value)
    assert "the generator's loss 'total' exploded" in line
    assert "above 20) at step 9; the state of step 7 is kept" in line
    kept = read_checkpoint(Folder(tmp_path))
    assert kept is not None
    assert kept.step == 7
    assert json.loads((tmp_path / "progress.json").read_text())["state"] == "diverged"
    assert rows(tmp_path, "step")[-1]["total"] > 20


def test_a_loss_that_is_not_finite_ends_the_run_at_its_step(small_faces: Faces, tmp_path: Path) -> None:
    # Beyond float32.
    config = small_config(lambda_penalty=1e39, checkpoint_every=1)
    line = "the discriminator's loss 'total' is inf at step 1; no state was kept$"
    with pytest.raises(Diverged, match=line):
        small_train(small_faces, tmp_path, config)
    assert not list(tmp_path.rglob("*.safetensors"))
    for text in (
        *(tmp_path / "metrics.jsonl").read_text().splitlines(),
        (tmp_path / "progress.json").read_text(),
    ):
        json.loads(text, parse_constant=pytest.fail)
    assert rows(tmp_path, "step")[-1]["total"] is None


def test_early_stopping_ends_it_and_survives_a_stop(small_faces: Faces, tmp_path: Path) -> None:
    # Weights hardly move, so after some epochs the loss cannot always become better.
    config = small_config(patience=2, learning_rate=1e-12, epochs=50, checks_per_epoch=1, batch_size=24)
    whole = small_train(small_faces, tmp_path / "whole", config)
    small_train(small_faces, tmp_path / "parts", config, should_stop=stop_after(whole.step - 1))
    parts = small_train(small_faces, tmp_path / "parts", config)
    assert "no better generator loss in 2 epochs" in whole.reason
    assert whole.step < 150
    assert whole.step % 3 == 0, "the end of an epoch"
    assert (parts.reason, parts.step, parts.digest) == (whole.reason, whole.step, whole.digest)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", ["wgan", "lsgan"])
def test_on_a_gpu_too_a_stopped_run_goes_on(small_faces: Faces, tmp_path: Path, mode: str) -> None:
    config, told = small_config(adversarial=mode, max_steps=6), []
    whole = small_train(small_faces, tmp_path / "whole", config, device="cuda", on_progress=told.append)
    assert "; on cuda in bfloat16" in told[0].note
    parts = tmp_path / "parts"
    stopped = small_train(small_faces, parts, config, device="cuda", should_stop=stop_after(4))
    assert (stopped.ended, stopped.step) == ("stopped", 4)
    with refused("run-settings-differ", "--precision float32", "bfloat16"):
        small_train(small_faces, parts, config, device="cpu")
    outcome = small_train(small_faces, parts, config, device="cuda")
    assert (outcome.ended, outcome.resumed_from, outcome.step) == ("finished", 4, 6)
    # Kernels of a GPU may add up in another order, in bfloat16; a state that was lost is another matter.
    for name in ("psnr", "ssim", "generator_loss"):
        assert outcome.check[name] == pytest.approx(whole.check[name], rel=0.05), name
    totals = [[row["total"] for row in rows(folder, "step")] for folder in (parts, tmp_path / "whole")]
    assert totals[0] == pytest.approx(totals[1], rel=0.1, abs=0.1)
    assert load_bundle(parts / "bundle").discriminator is not None
