"""The attribute classifier learns what can be seen; a run that was stopped or killed ends as if it had not been."""

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attgan.data.loading.loader import Faces, open_faces
from attgan.data.shards import Dataset
from attgan.data.transforms import to_float
from attgan.errors import Diverged
from attgan.models import AttributeClassifier
from attgan.models.folder import Folder
from attgan.training.classifier.augmentation import Augmentation, Shown
from attgan.training.classifier.config import ClassifierTraining
from attgan.training.classifier.learner import ClassifierLearner
from attgan.training.classifier.trainer import fit_classifier
from attgan.training.device import Placed
from attgan.training.run_folder.progress import Progress
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.refusals import refused

NAMES = ("Eyeglasses", "Male", "Black_Hair", "Bald")
QUICK = ClassifierTraining(width=2, batch_size=8, max_steps=24, epochs=1, min_steps=24, log_every=5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_drawn_dataset(tmp_path_factory.mktemp("drawn"), 280, glasses_share=0.5)


@pytest.fixture(scope="module")
def faces(dataset: Dataset) -> Iterator[Faces]:
    with open_faces(dataset, size=64, attributes=NAMES) as opened:
        yield opened


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def equal(one: AttributeClassifier | None, other: AttributeClassifier | None) -> bool:
    assert one is not None
    assert other is not None
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(tensor, same) for tensor, same in pairs)


def stopping_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps))
    return lambda: next(left, None) is None


def dying_after(steps: int) -> Callable[[], bool]:
    """As killed: nothing more is written."""
    stop = stopping_after(steps)

    def ask() -> bool:
        if stop():
            raise KeyboardInterrupt
        return False

    return ask


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_it_sees_glasses(faces: Faces, tmp_path: Path) -> None:
    config = ClassifierTraining(width=8, batch_size=32, epochs=1, min_steps=160)
    fitted = fit_classifier(faces, config, Folder(tmp_path))
    assert fitted.classifier is not None
    scores = {score.attribute: score for score in fitted.scores}
    assert list(scores) == list(NAMES)
    assert scores["Eyeglasses"].balanced_accuracy > 0.9
    batch = faces.take(faces.held_out)
    with torch.inference_mode():
        said = fitted.classifier(batch.images.float() / 127.5 - 1)[:, 0] > 0
    assert (said == (batch.labels[:, 0] > 0.5)).float().mean() == pytest.approx(scores["Eyeglasses"].accuracy)
    losses = {row["step"]: row["loss"] for row in rows_of(tmp_path) if row["kind"] == "check"}
    assert fitted.best_step == min(losses, key=lambda step: losses[step])


def test_a_run_that_was_stopped_or_killed_ends_as_one_that_was_not(
    faces: Faces, dataset: Dataset, tmp_path: Path
) -> None:
    config = QUICK.model_copy(update={"checkpoint_every": 7, "max_steps": 40, "min_steps": 40})
    whole = fit_classifier(faces, config, Folder(tmp_path / "whole"))
    broken = Folder(tmp_path / "broken")
    stopped = fit_classifier(faces, config, broken, should_stop=stopping_after(19))
    assert (stopped.ended, stopped.step, stopped.classifier) == ("stopped", 19, None)
    with pytest.raises(KeyboardInterrupt):
        fit_classifier(faces, config, broken, should_stop=dying_after(37 - 19))
    with open_faces(dataset, size=64, attributes=NAMES, cache_bytes=0) as streamed:
        resumed = fit_classifier(streamed, config, broken)
    assert resumed.resumed_from == 35
    assert (resumed.step, resumed.best_step, resumed.scores) == (40, whole.best_step, whole.scores)
    assert equal(resumed.classifier, whole.classifier)
    assert rows_of(tmp_path / "broken") == rows_of(tmp_path / "whole")
    again = fit_classifier(faces, config, broken)
    assert equal(again.classifier, whole.classifier), "a finished run has nothing left to do"
    assert again.resumed_from == again.step == 40


def test_it_stops_when_it_learns_no_more(faces: Faces, tmp_path: Path) -> None:
    """A rate this high makes a validation worse than the first."""
    config = QUICK.model_copy(
        update={"learning_rate": 1.0, "patience": 1, "max_steps": None, "min_steps": 1000}
    )
    fitted = fit_classifier(faces, config, Folder(tmp_path))
    assert fitted.reason == "no better loss in 1 validations"
    assert fitted.best_step == fitted.step - 100
    assert fitted.step < 1000


def test_a_loss_that_explodes_keeps_the_last_good_state(faces: Faces, tmp_path: Path) -> None:
    fit_classifier(faces, QUICK, Folder(tmp_path), should_stop=stopping_after(4))
    kept = sorted((tmp_path / "checkpoints").rglob("*.safetensors"))
    before = [path.read_bytes() for path in kept]
    told: list[Progress] = []
    spoilt = QUICK.model_copy(update={"log_every": 1})
    labels, faces.labels = faces.labels, np.full(faces.labels.shape, math.nan)
    try:
        with pytest.raises(
            Diverged, match=r"'loss' is nan at step 5; the state of step 4 is kept; a --learning-rate"
        ):
            fit_classifier(faces, spoilt, Folder(tmp_path), on_progress=told.append)
    finally:
        faces.labels = labels
    assert [path.read_bytes() for path in sorted((tmp_path / "checkpoints").rglob("*.safetensors"))] == before
    assert told[-1].state == "diverged"


def test_a_validation_that_is_not_finite_ends_it_and_it_never_finishes_untrained(
    faces: Faces, tmp_path: Path
) -> None:
    # The step's losses are finite in training mode; from then on the statistics of a batch norm are not.
    spoilt = QUICK.model_copy(update={"explode_above": 1e9})
    fit_classifier(faces, spoilt, Folder(tmp_path), should_stop=stopping_after(20))

    steps = itertools.count(21)
    descend = ClassifierLearner.descend

    def spoil(learner: ClassifierLearner, *arguments: Any) -> torch.Tensor:
        loss = descend(learner, *arguments)
        if next(steps) == 24:
            learner.network.body[0][1].running_var.fill_(math.nan)  # type: ignore[index,operator,union-attr]
        return loss

    for _ in range(2):
        steps = itertools.count(21)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ClassifierLearner, "descend", spoil)
            with pytest.raises(
                Diverged, match=r"'loss' is nan at step 24; the state of step 20 is kept; a --l"
            ):
                fit_classifier(faces, spoilt, Folder(tmp_path))
    told = json.loads((tmp_path / "progress.json").read_text(), parse_constant=pytest.fail)
    assert (told["state"], told["step"]) == ("diverged", 24)
    fitted = fit_classifier(faces, spoilt, Folder(tmp_path))
    assert (fitted.ended, fitted.best_step) == ("finished", 24)
    assert [row["step"] for row in rows_of(tmp_path) if row["kind"] == "check"] == [24]


def test_rendered_glasses_do_not_say_which_faces_are_mirrored(faces: Faces, tmp_path: Path) -> None:
    """With rendered glasses or without, half of the faces are mirrored."""
    config = QUICK.model_copy(update={"rendered": 0.5, "augment": False})
    shown: list[tuple[np.ndarray, torch.Tensor, np.ndarray]] = []
    show = Augmentation.show

    def spy(augmentation: Augmentation, batch: Placed, step: int) -> Shown:
        seen = show(augmentation, batch, step)
        bare = faces.labels[batch.rows, 0] == 0
        rendered = bare & (seen.labels[:, 0].numpy() == 1)
        shown.append((batch.rows, seen.images, rendered))
        return seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Augmentation, "show", spy)
        fit_classifier(faces, config, Folder(tmp_path))
    rows, rendered = (np.concatenate([each[place] for each in shown]) for place in (0, 2))
    images = torch.cat([each[1] for each in shown])
    straight = to_float(faces.take(rows).images)
    # The hair and the backdrop above the glasses.
    top = slice(0, 16)
    same, mirrored = (
        ((images - other)[:, :, top].abs().flatten(1).mean(1) < 0.01).numpy()
        for other in (straight, straight.flip(3))
    )
    assert (same | mirrored).all()
    for kind in (rendered, ~rendered):
        assert 0.3 < mirrored[kind].mean() < 0.7


def test_another_run_is_refused(faces: Faces, dataset: Dataset, tmp_path: Path) -> None:
    fit_classifier(faces, QUICK, Folder(tmp_path), bundle="one", should_stop=stopping_after(2))
    for change, rule in (
        ({"learning_rate": 1e-4}, ("run-settings-differ", "--learning-rate", "0.0001", "0.003")),
        ({"batch_size": 400}, ("batch-too-large", "--batch-size", "400", "240")),
    ):
        with refused(*rule):
            fit_classifier(faces, QUICK.model_copy(update=change), Folder(tmp_path), bundle="one")
    with refused("run-bundle-differs", "--bundle"):
        fit_classifier(faces, QUICK, Folder(tmp_path), bundle="other")
    with (
        open_faces(dataset, size=64, attributes=NAMES[::-1]) as others,
        refused("run-dataset-differs", "--dataset"),
    ):
        fit_classifier(others, QUICK, Folder(tmp_path), bundle="one")
    other_log = QUICK.model_copy(update={"log_every": 3})
    assert fit_classifier(faces, other_log, Folder(tmp_path), bundle="one").step == 24


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_too_a_stopped_run_goes_on(faces: Faces, tmp_path: Path) -> None:
    fit_classifier(faces, QUICK, Folder(tmp_path), device="cuda", should_stop=stopping_after(9))
    fitted = fit_classifier(faces, QUICK, Folder(tmp_path), device="cuda")
    assert (fitted.resumed_from, fitted.step) == (9, 24)
    assert fitted.classifier is not None
    assert all(tensor.device.type == "cpu" for tensor in fitted.classifier.state_dict().values())
