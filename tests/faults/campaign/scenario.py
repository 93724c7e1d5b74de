"""The runs that are disturbed: the first one over a source, one after the source has changed, retries of failures.

Each scenario has a source, a destination as it is before the run, and what the undisturbed run makes of it. A case gets
a copy of that destination.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from attgan.attributes import CELEBA, PUBLISHED
from attgan.models import Generator, GeneratorConfig, fresh, save_bundle
from flows.settings import EditSettings
from flows.storage import Store, join, open_store
from flows.storage.s3.store import S3Store
from flows.training.weights import UNTRAINED
from tests.faults.campaign.command import Job, run
from tests.faults.campaign.faulty_store import read_journal
from tests.faults.campaign.observation import OURS, Observation, images_read, observe
from tests.support.images.pictures import noise, saved

SHARD = 4
LARGE, LARGE_SHARD = 48, 4
FOREIGN = b"somebody's only copy"


@dataclass(frozen=True)
class Scenario:
    """A run that can be disturbed.

    Attributes:
        settings: of the undisturbed run; a case has another destination.
        before: the destination as it is before the run.
        outputs_before: what is there then, the run's own files aside.
        run_id: of the run.
        expected: what the undisturbed run has made.
        operations: how often it did what with which sort of objects.
        images: how many inputs it read.
        unchanged: how many the next run finds done.
        environment: leads to the storage.
    """

    name: str
    settings: EditSettings
    before: str
    outputs_before: frozenset[str]
    run_id: str
    expected: Observation
    operations: Counter[tuple[str, str]] = field(repr=False)
    images: int
    unchanged: int
    environment: Mapping[str, str] = field(repr=False)

    @property
    def place(self) -> str:
        """Where it is."""
        return "on S3" if "://" in self.before else "on disk"

    def at(self, destination: str) -> EditSettings:
        """The settings of a case, whose destination is made ready."""
        copy_folder(self.before, destination)
        return self.settings.model_copy(update={"destination": destination})


def make_scenarios(root: str, environment: Mapping[str, str], names: tuple[str, ...]) -> list[Scenario]:
    """Prepare the scenarios named below a URL; the environment leads there, also this process's own."""
    bundle = join(root, "bundle")
    write_bundle(bundle)
    return [_SCENARIOS[name](join(root, name), bundle, environment) for name in names]


def write_bundle(url: str) -> None:
    """A small generator whose results depend on the image: a fresh one's are all the same grey."""
    generator = fresh(Generator, GeneratorConfig(n_attributes=len(PUBLISHED), image_size=64, width=4), 0)
    with torch.no_grad():
        for weight in generator.parameters():
            if weight.dim() > 1:
                weight.mul_(4)
    filesystem, path = open_store(url).filesystem()
    words = {"licence": UNTRAINED, "about": "For tests."}
    save_bundle(path, generator=generator, attributes=PUBLISHED, filesystem=filesystem, **words)


def _first(root: str, bundle: str, environment: Mapping[str, str]) -> Scenario:
    source, settings = _begin(root, bundle)
    _fill(source)
    return _finish("first", root, settings, environment)


def _changed(root: str, bundle: str, environment: Mapping[str, str]) -> Scenario:
    """The source has three other images, two new ones and one less since the first run."""
    source, settings = _begin(root, bundle)
    _fill(source)
    _run_once(settings, join(root, "before"), environment)
    for number, key in enumerate(("a/02.jpg", "a/05.jpg", "b/08.jpg")):
        source.put(key, saved(noise(50 + number, 64, 64)))
    for number in range(2):
        source.put(f"c/{number:02d}.jpg", saved(noise(60 + number, 64, 64)))
    source.delete("a/01.jpg")
    return _finish("changed", root, settings.model_copy(update={"shard_size": 2}), environment)


def _retry(root: str, bundle: str, environment: Mapping[str, str]) -> Scenario:
    """Of four images that have failed three can be read by now."""
    return _finish_retry("retry", root, bundle, environment, cured={})


def _cured(root: str, bundle: str, environment: Mapping[str, str]) -> Scenario:
    """All images that have failed can be read by now."""
    return _finish_retry("cured", root, bundle, environment, {"broken.jpg": saved(noise(13, 64, 64))})


def _finish_retry(
    name: str, root: str, bundle: str, environment: Mapping[str, str], cured: Mapping[str, bytes]
) -> Scenario:
    source, settings = _begin(root, bundle)
    _fill(source)
    good = {key: source.get(key).data for key in ("a/02.jpg", "b/08.jpg", "b/09.jpg")}
    for key in good:
        source.put(key, b"not yet an image")
    _run_once(settings, join(root, "before"), environment)
    for key, data in (good | dict(cured)).items():
        source.put(key, data)
    return _finish(name, root, settings.model_copy(update={"retry_failed": True}), environment)


def _large(root: str, bundle: str, environment: Mapping[str, str]) -> Scenario:
    """Enough photographs, each of them large enough, for a run to be caught in the middle of it."""
    source, settings = _begin(root, bundle)
    for number in range(LARGE):
        source.put(f"{number:03d}.jpg", saved(noise(number, 1780, 2180)))
    more = {"shard_size": LARGE_SHARD, "batch_size": LARGE_SHARD, "labels": None}
    return _finish("large", root, settings.model_copy(update=more), environment)


_SCENARIOS: dict[str, Callable[[str, str, Mapping[str, str]], Scenario]] = {
    "first": _first,
    "changed": _changed,
    "retry": _retry,
    "cured": _cured,
    "large": _large,
}


def _begin(root: str, bundle: str) -> tuple[Store, EditSettings]:
    places = {
        "source": join(root, "in"),
        "destination": join(root, "undisturbed"),
        "labels": join(root, "labels"),
        "bundle": bundle,
    }
    settings = EditSettings.model_validate(
        places
        | {
            "faces": "aligned",
            "paste": "whole",
            "shard_size": SHARD,
            "batch_size": SHARD,
            "max_failed_share": 0.5,
        }
    )
    rows = [f"{name}.jpg {'1' if name == '04' else '-1'}" + " -1" * 39 for name in ("03", "04")]
    order = ["Eyeglasses", *(name for name in CELEBA if name != "Eyeglasses")]
    open_store(join(root, "labels")).put(
        "list_attr_celeba.txt", f"2\n{' '.join(order)}\n".encode() + "\n".join(rows).encode() + b"\n"
    )
    taken = open_store(join(root, "before"))
    taken.put("b/07.jpg", FOREIGN)
    taken.put("theirs.txt", FOREIGN)
    return open_store(settings.source), settings


def _fill(source: Store) -> None:
    """Sixteen inputs of all fates, and one file that is none: four shards."""
    for number in range(13):
        source.put(f"{'a' if number < 6 else 'b'}/{number:02d}.jpg", saved(noise(number, 64, 64)))
    source.put("broken.jpg", saved(noise(13))[:1000])
    source.put("landscape.jpg", saved(noise(14, 64, 48)))
    source.put("picture.png", saved(noise(15, 64, 64), "PNG"))
    source.put("notes.txt", b"no image")


def _finish(name: str, root: str, settings: EditSettings, environment: Mapping[str, str]) -> Scenario:
    before = join(root, "before")
    copy_folder(before, settings.destination)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        outcome = run(Job(settings, journal, environment=environment))
        assert outcome.report is not None, outcome
        run_id = outcome.report["run_id"]
        expected = observe(settings, run_id, [journal])
        lines = read_journal(journal)
        read = images_read([journal])
        again = settings.model_copy(update={"retry_failed": False})
        following = run(Job(again, Path(folder) / "following", environment=environment))
    assert not expected.wrong, expected.wrong
    assert not expected.litter, expected.litter
    assert following.end == "nothing", following
    ours = [data for data in expected.outputs.values() if data != FOREIGN]
    assert len(set(ours)) == len(ours), "an image under another's key would not be noticed"
    return Scenario(
        name=name,
        settings=settings,
        before=before,
        outputs_before=frozenset(
            info.key for info in open_store(before).list() if not info.key.startswith(OURS)
        ),
        run_id=run_id,
        expected=expected,
        operations=Counter((line["operation"], line["sort"]) for line in lines),
        images=read,
        unchanged=following.unchanged,
        environment=environment,
    )


def _run_once(settings: EditSettings, destination: str, environment: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = settings.model_copy(update={"destination": destination})
        outcome = run(Job(settings, Path(folder) / "journal", environment=environment))
    assert outcome.end == "done", outcome


def copy_folder(url: str, destination: str) -> None:
    """Copy all objects with their metadata, files with their times, so that ETags stay; our own JSON names the copy."""
    place = open_store(destination)
    if isinstance(place, S3Store):
        original = open_store(url)
        for info in original.list():
            found = original.get(info.key)
            place.put(info.key, _moved(info.key, found.data, url, destination), metadata=found.metadata)
        return
    shutil.copytree(url, destination)
    for path in Path(destination).rglob("*.json"):
        path.write_bytes(_moved(path.name, path.read_bytes(), url, destination))


def _moved(key: str, data: bytes, url: str, destination: str) -> bytes:
    return data.replace(url.encode(), destination.encode()) if key.endswith(".json") else data
