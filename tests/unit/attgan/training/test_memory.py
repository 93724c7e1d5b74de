"""A GPU whose memory does not hold a batch: the run goes on with the same batches, computed in parts."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from attgan.data.loading.loader import Faces
from attgan.training import attgan_learner
from attgan.training.attgan_learner import discriminator_step, open_stream
from attgan.training.run_folder.progress import Progress
from attgan.training.trainer import choose, make_plan
from tests.support.small_training import (
    CARD,
    small_config,
    small_discriminator,
    small_generator,
    small_train,
    stop_after,
)


class SmallMemory:
    """From the ``after``-th attempt on, the losses of more than ``most`` images run out of memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int, after: int = 0) -> None:
        self.most, self.after, self.attempts = most, after, 0
        for name, images in (("discriminator_losses", "real"), ("generator_losses", "images")):
            original = getattr(attgan_learner, name)

            def limited(*args: Any, _images: str = images, _original: Any = original, **named: Any) -> Any:
                self.attempts += 1
                if self.attempts > self.after and len(named[_images]) > self.most:
                    raise torch.OutOfMemoryError("no room")
                return _original(*args, **named)

            monkeypatch.setattr(attgan_learner, name, limited)


def steps(folder: Path) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in every if row["kind"] == "step"]


def test_from_the_step_that_runs_out_on_a_batch_is_computed_in_halves_and_the_run_says_so(
    small_faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(max_steps=9)
    SmallMemory(monkeypatch, most=3, after=4)
    told: list[Progress] = []
    outcome = small_train(small_faces, tmp_path, config, on_progress=told.append)
    assert (outcome.ended, outcome.step) == ("finished", 9)
    assert [row.get("part_size") for row in steps(tmp_path)] == [None] * 4 + [3] * 5
    words = "from step 5 on, batches of 6"
    assert words in outcome.reason
    assert "BatchNorm" in outcome.reason
    assert any(words in each.note and each.step == 5 for each in told)
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["reason"] == outcome.reason


def test_a_run_that_resumes_keeps_its_parts(
    small_faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(max_steps=9)
    memory = SmallMemory(monkeypatch, most=3, after=4)
    whole = small_train(small_faces, tmp_path / "whole", config)
    memory.attempts = 0
    small_train(small_faces, tmp_path / "parts", config, should_stop=stop_after(6))
    # A larger GPU, say: the same run would otherwise go on with other BatchNorm statistics.
    memory.most = 6
    told: list[Progress] = []
    parts = small_train(small_faces, tmp_path / "parts", config, on_progress=told.append)
    assert "from step 5 on" in told[0].note
    assert (parts.resumed_from, parts.reason, parts.digest) == (6, whole.reason, whole.digest)
    assert steps(tmp_path / "parts") == steps(tmp_path / "whole")


@pytest.mark.parametrize("part_size", [4, 1])
def test_the_gradient_is_that_of_the_whole_batch_where_no_batch_norm_learns(
    small_faces: Faces, part_size: int
) -> None:
    whole, parts = (gradient(small_faces, size) for size in (None, part_size))
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert (parts[name] - tensor).norm() <= 1e-3 * tensor.norm() + 1e-5, name


def gradient(faces: Faces, part_size: int | None) -> dict[str, torch.Tensor]:
    """The discriminator's, after its first step, and the losses."""
    config = small_config()
    plan = make_plan(
        small_generator(), small_discriminator(), faces, config, choose(faces, config), card=CARD
    )
    plan.networks.generator.eval()
    with closing(open_stream(plan, "source", plan.source_rows, 0)) as stream:
        batch = next(stream)
    stepped = discriminator_step(plan, 0, batch, batch, part_size)
    assert stepped.part_size == part_size
    found = {name: value.grad for name, value in plan.networks.discriminator.named_parameters()}
    return stepped.losses | {name: value for name, value in found.items() if value is not None}
