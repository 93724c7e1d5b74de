"""The sweep flow on real Prefect, Ray and S3 servers: from the command line to a bundle that edits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort

from attgan.editing.editor import make_editor
from flows import cli
from flows.storage import join, open_store
from flows.storage.bundles import open_bundle
from flows.sweep.records import read_record, read_trials
from tests.support.finished_sweep import make_places
from tests.support.images.pictures import noise
from tests.support.refusals import codes_in

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two trials from a bundle of untrained networks."""
    places = make_places(tmp_path_factory.mktemp("places"))
    options = [f"--dataset={places.dataset}", f"--bundle={places.bundle}", f"--evaluator={places.evaluator}"]
    options += ["--space=lambda_reconstruction=10,100", "--batch-size=8", "--max-steps=4", "--test-faces=6"]
    return ["sweep", *options, "--discriminator-steps=1", "--checks-per-epoch=3", "--validation-images=8"]


@pytest.fixture
def sweep(stack: dict[str, str], fresh_bucket: Callable[[], str]) -> str:
    return f"s3://{fresh_bucket()}/sweep"


def last_run() -> tuple[dict[str | None, list[Any]], dict[str, str | None]]:
    """What the UI shows of it: all artifacts by their keys, and the states of its task runs by their names."""
    with get_client(sync_client=True) as client:
        (last,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        only = FlowRunFilter.model_validate({"id": {"any_": [last.id]}})
        artifacts: dict[str | None, list[Any]] = {}
        for artifact in client.read_artifacts(flow_run_filter=only):
            artifacts.setdefault(artifact.key, []).append(artifact.data)
        runs = client.read_task_runs(flow_run_filter=only)
        return artifacts, {run.name: run.state_name for run in runs}


def test_trials_are_compared_and_the_best_one_edits(
    sweep: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*arguments, f"--destination={sweep}"]) == 0
    printed = capsys.readouterr().out
    assert "Leaderboard by quality: 2 trials, 2 finished" in printed
    artifacts, tasks = last_run()
    shown = ("progress", "so-far", "best-so-far", "leaderboard", "curves", "faces", "result")
    assert {name: len(artifacts[f"sweep-{name}"]) for name in shown} == dict.fromkeys(shown, 1), (
        "a newer one takes the place of an older one"
    )
    assert artifacts["sweep-progress"] == [100]
    assert [row["state"] for row in json.loads(artifacts["sweep-so-far"][0])] == ["finished"] * 2
    trials = {name: state for name, state in tasks.items() if name.startswith("trial")}
    assert trials == dict.fromkeys(("trial 000: lambda1 10", "trial 001: lambda1 100"), "Completed")
    store = open_store(sweep)
    with store.filesystem()[0].open_input_file(f"{store.filesystem()[1]}/leaderboard.parquet") as stream:
        table = pq.read_table(stream).to_pydict()
    assert sorted(table["trial"]) == ["000", "001", "start"]
    assert store.get("curves.png").data.startswith(b"\x89PNG")
    assert store.get("faces.jpg").data.startswith(b"\xff\xd8")
    bundle = open_bundle(join(sweep, "best"))
    assert bundle.discriminator is not None
    faces = noise(0, 64, 64)[None]
    values = bundle.generator.config.n_attributes * [0.5]
    edited = make_editor(bundle.generator, "cpu", 1).edit(faces, np.array([values], dtype=np.float32))
    assert edited.shape == faces.shape
    before = {info.key: info.etag for info in store.list("trials")}
    assert cli.run([*arguments, f"--destination={sweep}"]) == 0
    assert {info.key: info.etag for info in store.list("trials")} == before
    assert open_bundle(join(sweep, "best")).digest == bundle.digest
    assert cli.run([*arguments, f"--destination={sweep}", "--learning-rate=0.01"]) == 2
    # Prefect may log the refusal, too.
    assert codes_in(capsys.readouterr().err.strip().splitlines()[-1]) == ["sweep-settings-differ"]


@pytest.mark.parametrize(
    ("options", "code", "option"),
    [
        (["--metric=beauty"], "setting-invalid", "--metric beauty: "),
        (["--gpus-per-trial=1"], "cluster-too-small", "--cpus-per-trial 1, --gpus-per-trial 1: "),
        (["--bundle=default"], "evaluator-size-mismatch", "--evaluator "),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_begun(
    sweep: str,
    arguments: list[str],
    options: list[str],
    code: str,
    option: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replaced = {option.partition("=")[0] for option in options}
    kept = [argument for argument in arguments if argument.partition("=")[0] not in replaced]
    assert cli.run([*kept, *options, f"--destination={sweep}"]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert printed[-1].startswith(f"attgan: [{code}] {option}"), printed
    assert read_record(open_store(join(sweep, "trials/000"))) is None


def test_a_place_that_is_another_sweeps_dataset_is_refused(
    arguments: list[str], tmp_path: Path, stack: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    others = [argument for argument in arguments if not argument.startswith("--dataset=")]
    assert cli.run([*others, f"--destination={tmp_path}", "--dataset=" + str(tmp_path / "none")]) == 2
    assert "--dataset" in capsys.readouterr().err


@pytest.mark.long
def test_a_sweep_whose_trials_all_fail_has_failed(
    sweep: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Drawn faces are not there to be counted beforehand: here are fewer than a batch takes."""
    kept = [argument for argument in arguments if not argument.startswith(("--dataset", "--batch-size"))]
    assert cli.run([*kept, "--images=60", "--batch-size=64", "--trials=1", f"--destination={sweep}"]) == 1
    assert "every trial failed" in capsys.readouterr().err
    record = read_record(open_store(join(sweep, "trials/000")))
    assert record is not None
    assert (record["state"], record["attempts"]) == ("failed", 1)
    assert codes_in(record["reason"]) == ["batch-too-large"]


@pytest.mark.long
def test_a_sweep_whose_trials_all_diverge_has_failed(sweep: str, arguments: list[str]) -> None:
    assert cli.run([*arguments, "--explode-above=1e-6", f"--destination={sweep}"]) == 1
    records = [record for _, record in read_trials(open_store(sweep))]
    assert {record["state"] for record in records} == {"diverged"}
