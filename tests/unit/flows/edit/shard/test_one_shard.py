"""Shards on disk, without Ray or Prefect: every input gets a row, good ones an output, and nothing is overwritten."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from attgan.attributes import CELEBA, PUBLISHED
from attgan.models import load_bundle
from flows.edit.job import resolve
from flows.edit.ledger import Summary, finished_shards, read_rows
from flows.edit.plan.dry_run import describe
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.report.content import ConservationError, build_report, failed_share
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings
from tests.support.images.pictures import noise, opened, saved
from tests.support.refusals import refused

MakeSettings = Callable[..., EditSettings]


def run_all(settings: EditSettings) -> tuple[PreparedRun, list[Summary]]:
    """What the flow does, in this process."""
    prepared = prepare(resolve(settings))
    return prepared, [edit_shard(prepared.run.url, shard, settings) for shard in range(prepared.run.shards)]


def rows_of(prepared: PreparedRun) -> dict[str, dict[str, Any]]:
    tables = [read_rows(prepared.store, key) for key in finished_shards(prepared.store).values()]
    return {row["key"]: row for table in tables for row in table.to_pylist()}


def test_every_input_is_accounted_for(tmp_path: Path, settings: MakeSettings) -> None:
    alpha = Image.fromarray(noise(2))
    alpha.putalpha(Image.fromarray(noise(3)[..., 0]))
    exif = Image.Exif()
    exif[0x0112] = 6
    bomb = Image.new("1", (9000, 9000))
    inputs = {
        "plain.jpg": saved(noise(0)),
        "UPPER.JPG": saved(noise(1)),
        "deep/er/with space.jpg": saved(noise(1)),
        "ünï😀%2F+#?.jpg": saved(noise(1)),
        "no_extension": saved(noise(1)),
        "alpha.png": saved(alpha, "PNG"),
        "square.webp": saved(noise(4, 300, 300), "WEBP"),
        "cmyk.jpg": saved(Image.fromarray(noise(5)).convert("CMYK")),
        "sixteen.tif": saved(Image.fromarray(noise(6)[..., 0].astype(np.uint16) * 257), "TIFF"),
        "turned.jpg": saved(np.rot90(noise(7)).copy(), exif=exif),
        "landscape.jpg": saved(noise(8, 640, 480)),
        "truncated.jpg": saved(noise(9))[:2000],
        "empty.jpg": b"",
        "text.jpg": b"I am not an image",
        "bomb.png": saved(bomb, "PNG"),
        "notes.txt": b"not planned",
    }
    for key, data in inputs.items():
        path = tmp_path / "in" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    prepared, summaries = run_all(settings(shard_size=4, faces="aligned"))
    assert prepared.run.shards == 4
    assert prepared.run.ignored == {"not an image by its extension (.txt)": 1}
    rows = rows_of(prepared)
    assert set(rows) == set(inputs) - {"notes.txt"}
    outcome = {key: (row["status"], row["stage"]) for key, row in rows.items()}
    assert {key for key, fate in outcome.items() if fate == ("skipped", "find")} == {"landscape.jpg"}
    failed = {key for key, (status, _) in outcome.items() if status == "failed"}
    assert failed == {"truncated.jpg", "empty.jpg", "text.jpg", "bomb.png"}
    assert "limit is 64,000,000" in rows["bomb.png"]["reason"]
    report = build_report(prepared.run, summaries, wall=1.0)
    assert report["counts"] == {"edited": 10, "copied": 0, "skipped": 1, "failed": 4}
    assert failed_share(summaries) == pytest.approx(4 / 15)
    written = {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert {key for key in written if not key.startswith("_runs/")} == set(inputs) - failed - {
        "landscape.jpg",
        "notes.txt",
    }


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_outside_the_face_nothing_changes(tmp_path: Path, settings: MakeSettings, format: str) -> None:
    name = f"face.{format.lower()}"
    (tmp_path / "in" / name).write_bytes(saved(noise(0), format))
    run_all(settings())
    edited = opened((tmp_path / "out" / name).read_bytes())
    assert edited.shape == (218, 178, 3)
    inside = np.zeros((218, 178), dtype=bool)
    inside[24:194, 4:174] = True
    np.testing.assert_array_equal(edited[~inside], noise(0)[~inside])
    assert (edited[inside] != noise(0)[inside]).mean() > 0.5


def test_alpha_survives(tmp_path: Path, settings: MakeSettings) -> None:
    picture = Image.fromarray(noise(0))
    picture.putalpha(77)
    (tmp_path / "in" / "a.png").write_bytes(saved(picture, "PNG"))
    run_all(settings())
    edited = opened((tmp_path / "out" / "a.png").read_bytes())
    assert edited.shape == (218, 178, 4)
    assert (edited[..., 3] == 77).all()


def test_the_same_bytes_whatever_the_shards(tmp_path: Path, settings: MakeSettings) -> None:
    for i in range(9):
        (tmp_path / "in" / f"{i}.jpg").write_bytes(saved(noise(i)))
    results = []
    for shard_size in (100, 2, 4):
        destination = tmp_path / f"out{shard_size}"
        destination.mkdir()
        run_all(settings(destination=str(destination), shard_size=shard_size, batch_size=5))
        results.append({path.name: path.read_bytes() for path in destination.glob("*.jpg")})
    assert len(results[0]) == 9
    assert results[0] == results[1] == results[2]


def test_a_named_run_of_something_else_is_refused(tmp_path: Path, settings: MakeSettings) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    prepare(resolve(settings(run_id="mine")))
    with refused("run-settings-differ") as caught:
        prepare(resolve(settings(run_id="mine", quality=50)))
    assert "quality" in caught.value.line


def test_a_trial_with_a_limit_is_another_run(tmp_path: Path, settings: MakeSettings) -> None:
    for i in range(3):
        (tmp_path / "in" / f"{i}.jpg").write_bytes(saved(noise(i)))
    trial = prepare(resolve(settings(max_images=1)))
    whole = prepare(resolve(settings()))
    assert (trial.run.inputs, whole.run.inputs) == (1, 3)
    assert prepare(resolve(settings(max_images=1))).run == trial.run
    prepare(resolve(settings(run_id="mine", max_images=1)))
    with refused("run-settings-differ"):
        prepare(resolve(settings(run_id="mine")))


def test_a_run_taken_up_has_the_settings_of_the_command_that_takes_it_up(
    tmp_path: Path, settings: MakeSettings, bundle: str
) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    (tmp_path / "out" / "a.jpg").write_bytes(b"somebody's only copy")
    first = prepare(resolve(settings()))
    moved = tmp_path / "moved"
    shutil.copytree(bundle, moved)
    later = settings(
        bundle=str(moved),
        paste="whole",
        faces="aligned",
        on_existing="overwrite",
        max_failed_share=0.5,
        cpus_per_shard=2,
    )
    again = prepare(resolve(later))
    assert again.run.run_id == first.run.run_id
    assert again.run.settings == later
    edit_shard(again.run.url, 0, later)
    assert rows_of(again)["a.jpg"]["status"] == "edited"
    assert opened((tmp_path / "out" / "a.jpg").read_bytes()).shape == (218, 178, 3)


@pytest.mark.parametrize(
    "spelling", [{"set": ["Eyeglasses=1@1"]}, {"set": ["Eyeglasses=1"], "intensity": 1.0}]
)
def test_one_meaning_is_one_run_however_it_is_spelt(
    tmp_path: Path, settings: MakeSettings, spelling: dict[str, object]
) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    assert (
        prepare(resolve(settings(**spelling, source=f"{tmp_path}/in/"))).run
        == prepare(resolve(settings())).run
    )


def test_other_labels_are_another_run(tmp_path: Path, settings: MakeSettings) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    labels = tmp_path / "labels"
    labels.mkdir()
    ids = []
    for value in ("1", "-1"):
        (labels / "list_attr_celeba.txt").write_text(
            f"1\n{' '.join(CELEBA)}\na.jpg {' '.join([value] * 40)}\n"
        )
        ids.append(prepare(resolve(settings(labels=str(labels)))).run.fingerprint)
    assert ids[0] != ids[1]


def test_a_worker_with_another_library_refuses(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    prepared = prepare(resolve(settings()))
    monkeypatch.setattr("attgan.data.codec.VERSION", "simplejpeg 0.0.1")
    with refused("worker-version-differs"):
        edit_shard(prepared.run.url, 0, prepared.run.settings)


def test_a_damaged_run_is_left_alone(tmp_path: Path, settings: MakeSettings) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    prepared = prepare(resolve(settings()))
    prepared.store.put("run.json", b'{"run_id": "x"}')
    with refused("run-foreign"):
        prepare(resolve(settings()))


def test_labels_reach_the_network(tmp_path: Path, settings: MakeSettings) -> None:
    (tmp_path / "in" / "000001.jpg").write_bytes(saved(noise(0)))
    (tmp_path / "in" / "other.jpg").write_bytes(saved(noise(0)))
    labels = tmp_path / "labels"
    labels.mkdir()
    signs = ["1" if name in ("Male", "Young") else "-1" for name in CELEBA]
    (labels / "list_attr_celeba.txt").write_text(f"1\n{' '.join(CELEBA)}\n000001.jpg {' '.join(signs)}\n")
    prepared, _ = run_all(settings(labels=str(labels), set=["Eyeglasses=1@0.75", "Young=0"], intensity=0.9))
    rows = rows_of(prepared)
    known = dict(zip(PUBLISHED, rows["000001.jpg"]["targets"], strict=True))
    assert known["Eyeglasses"] == pytest.approx(0.75)
    assert known["Young"] == pytest.approx(-0.9)
    assert (known["Male"], known["Bald"]) == (0.5, -0.5)
    unknown = dict(zip(PUBLISHED, rows["other.jpg"]["targets"], strict=True))
    assert (unknown["Male"], unknown["Eyeglasses"]) == (0.0, pytest.approx(0.75))


def test_where_no_label_tells_the_classifier_does(
    tmp_path: Path, settings: MakeSettings, seeing_bundle: str
) -> None:
    for i in range(6):
        (tmp_path / "in" / f"{i}.png").write_bytes(saved(noise(i, 64, 64), "PNG"))
    classifier = load_bundle(seeing_bundle).classifier
    assert classifier is not None
    faces = torch.stack([torch.from_numpy(noise(i, 64, 64)) for i in range(6)]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        seen = (classifier(faces / 127.5 - 1) > 0).numpy()
    assert len(np.unique(seen, axis=0)) > 1
    results = []
    for shard_size in (6, 2):
        destination = tmp_path / f"out{shard_size}"
        destination.mkdir()
        prepared, summaries = run_all(
            settings(
                faces="aligned",
                bundle=seeing_bundle,
                destination=str(destination),
                shard_size=shard_size,
                batch_size=4,
            )
        )
        rows = rows_of(prepared)
        for i in range(6):
            row = rows[f"{i}.png"]
            assert (row["attributes_from"], row["predicted"]) == ("classifier", seen[i].tolist())
            expected = np.where(seen[i], 0.5, -0.5)
            expected[PUBLISHED.index("Eyeglasses")] = 1.0
            np.testing.assert_array_equal(row["targets"], expected.astype(np.float32))
        assert build_report(prepared.run, summaries, wall=1.0)["attributes_from"] == {"classifier": 6}
        assert prepared.request.attributes_from == "the bundle's classifier"
        results.append({path.name: path.read_bytes() for path in destination.glob("*.png")})
    assert results[0] == results[1]


def test_labels_go_before_what_the_classifier_sees(
    tmp_path: Path, settings: MakeSettings, seeing_bundle: str
) -> None:
    for name in ("000001.png", "other.png"):
        (tmp_path / "in" / name).write_bytes(saved(noise(0, 64, 64), "PNG"))
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "list_attr_celeba.txt").write_text(
        f"1\n{' '.join(CELEBA)}\n000001.png {' '.join(['1'] * 40)}\n"
    )
    prepared, summaries = run_all(
        settings(faces="aligned", bundle=seeing_bundle, labels=str(labels), on_present="edit")
    )
    rows = rows_of(prepared)
    assert (rows["000001.png"]["attributes_from"], rows["000001.png"]["predicted"]) == ("labels", None)
    assert rows["000001.png"]["targets"][PUBLISHED.index("Male")] == 0.5
    assert rows["other.png"]["attributes_from"] == "classifier"
    assert summaries[0].attributes_from == {"labels": 1, "classifier": 1}
    assert prepared.request.attributes_from.endswith("of images not listed there: the bundle's classifier")


def test_without_labels_and_classifier_the_attributes_are_unknown(
    tmp_path: Path, settings: MakeSettings, bundle: str, seeing_bundle: str
) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    prepared, summaries = run_all(settings())
    row = rows_of(prepared)["a.jpg"]
    assert (row["attributes_from"], row["predicted"]) == ("unknown", None)
    assert sorted(set(row["targets"])) == [0.0, 1.0]
    assert summaries[0].attributes_from == {"unknown": 1}
    assert prepared.request.attributes_from.startswith("unknown; neither --labels nor a classifier")
    seeing = prepare(resolve(settings(faces="aligned", bundle=seeing_bundle)))
    assert seeing.run.fingerprint != prepared.run.fingerprint
    told = {
        row["what"]: row["value"]
        for row in describe(resolve(settings(faces="aligned", bundle=seeing_bundle)))
    }
    assert told["source attributes"] == "the bundle's classifier"


def test_a_ledger_that_lost_a_row_is_found_out(tmp_path: Path, settings: MakeSettings) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    prepared, [summary] = run_all(settings())
    summary.counts["edited"] = 0
    with pytest.raises(ConservationError, match="1 inputs"):
        build_report(prepared.run, [summary], wall=1.0)


def test_mistakes_are_found_before_anything_is_written(tmp_path: Path, settings: MakeSettings) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    (tmp_path / "text").write_text("I am not a bundle")
    (tmp_path / "empty").mkdir()
    mistakes: list[tuple[dict[str, object], str]] = [
        ({"destination": str(tmp_path / "in")}, "destination-overlaps-source"),
        ({"destination": str(tmp_path / "in" / "out")}, "destination-overlaps-source"),
        ({"source": str(tmp_path / "nowhere")}, "directory-missing"),
        ({"source": str(tmp_path / "empty")}, "source-empty"),
        ({"bundle": str(tmp_path / "text")}, "directory-is-file"),
        ({"bundle": str(tmp_path / "empty")}, "bundle-missing"),
        ({"set": ["Glasses=1"]}, "attribute-unknown"),
    ]
    for options, code in mistakes:
        with refused(code) as caught:
            prepare(resolve(settings(**options)))
        assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a.jpg"]


def test_damaged_weights_are_refused_by_the_shard(tmp_path: Path, settings: MakeSettings) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(saved(noise(0)))
    broken = tmp_path / "broken"
    shutil.copytree(Path(settings().bundle), broken)
    weights = broken / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    wanted = settings(bundle=str(broken))
    prepared = prepare(resolve(wanted))
    assert isinstance(prepared, PreparedRun)
    with refused("safetensors-unreadable"):
        edit_shard(prepared.run.url, 0, wanted)
    assert not finished_shards(prepared.store)
