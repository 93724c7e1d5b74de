"""A small sweep whose trials were run without Ray: real trainings of tiny networks on drawn faces."""

import shutil
from pathlib import Path
from typing import Any

from attgan.evaluation.evaluator import Evaluator, save_evaluator
from attgan.models import (
    AttributeClassifier,
    ClassifierConfig,
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    fresh,
    save_bundle,
)
from attgan.models.folder import Folder
from flows.settings import SweepSettings
from flows.storage import open_store
from flows.sweep.plan import Places, SweepPlan, make_plan, resolve, write_or_check
from flows.sweep.records import new_record, write_record
from flows.training.trial import train_trial
from tests.support.data.drawn_dataset import write_drawn_dataset

NAMES = ("Eyeglasses", "Male", "Young")
SIZE = 64


def make_places(folder: Path, faces: int = 60) -> Places:
    """A dataset of drawn faces, a bundle of untrained networks, and an untrained evaluator."""
    write_drawn_dataset(folder / "faces", faces, size=SIZE)
    shape = {"n_attributes": len(NAMES), "image_size": SIZE, "width": 2}
    save_bundle(
        folder / "start",
        generator=fresh(Generator, GeneratorConfig(**shape), 0),
        discriminator=fresh(Discriminator, DiscriminatorConfig(**shape, hidden=8), 1),
        attributes=NAMES,
        licence="made for a test",
        about="Untrained.",
    )
    classifier = fresh(AttributeClassifier, ClassifierConfig(**shape), 2).eval()
    save_evaluator(
        Folder(str(folder / "evaluator")), Evaluator(classifier, NAMES, None, "an untrained evaluator")
    )
    return Places(str(folder / "faces"), str(folder / "start"), str(folder / "evaluator"))


def plan_at(url: str, places: Places, *space: str, **more: Any) -> SweepPlan:
    """The plan of a sweep there, over four weights of the reconstruction if nothing else is said."""
    options = {
        "dataset": places.dataset,
        "bundle": places.bundle,
        "evaluator": places.evaluator,
        "destination": url,
        "space": list(space) or ["lambda_reconstruction=1,10,50,100"],
        "batch_size": 8,
        "max_steps": 4,
        "discriminator_steps": 1,
        "checks_per_epoch": 3,
        "validation_images": 8,
        "test_faces": 6,
    }
    options |= more
    plan = make_plan(resolve(SweepSettings.model_validate(options)), places=places)
    write_or_check(plan)
    return plan


def run_all_but_the_last(plan: SweepPlan) -> None:
    """Train the trials one after the other; the last one counts as failed before its first step."""
    for trial in plan.known:
        record = new_record(trial.number, trial.changes, trial.label)
        if trial is plan.known[-1]:
            record |= {"state": "failed", "attempts": 3, "reason": "RuntimeError: no luck"}
        else:
            outcome = train_trial(trial.settings)
            record |= {"state": "finished", "attempts": 1, "node": "here", "seconds": 1.5}
            record |= {"reason": outcome["reason"]}
        write_record(open_store(trial.url), record)


def with_a_trial_of(finished: SweepPlan, plan: SweepPlan, number: int, state: str) -> None:
    """The files of a trial in another sweep's folder, where it ended otherwise; the others fail."""
    shutil.copytree(finished.known[number].url, plan.known[number].url)
    for trial in plan.known:
        record = new_record(trial.number, trial.changes, trial.label)
        write_record(open_store(trial.url), record | {"state": state if trial.number == number else "failed"})
