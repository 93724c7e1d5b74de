"""A training is killed, runs out of room, or loses its data: started again it ends with the very same bits.

The processes that are killed are forked from one that has loaded torch already, to be quick.
"""

import json
import random
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from attgan.data.loading.loader import open_faces
from attgan.data.shards import open_dataset
from attgan.models.folder import Folder
from flows.storage import open_store
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.forking import FORKING
from tests.support.refusals import refused
from tests.support.small_training import main, open_small, small_config, small_train
from tests.support.waiting import wait_until

pytestmark = pytest.mark.fault

SETTINGS: dict[str, Any] = {
    "strategy": "alternate",
    "batch_size": 5,
    "checkpoint_every": 4,
    "checks_per_epoch": 1,
    "epochs": 100,
    "max_steps": 70,
}
KILLS = 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_drawn_dataset(folder, 60, parts=3)
    return folder


@pytest.fixture
def start(data: Path, tmp_path: Path) -> Callable[[str], Any]:
    """A function that starts the run of that name in a process of its own."""

    def begin(name: str) -> Any:
        arguments = (str(data), str(tmp_path / name), str(tmp_path / f"{name}.order"), json.dumps(SETTINGS))
        process = FORKING.Process(target=main, args=arguments)
        process.start()
        return process

    return begin


def taken(order: Path) -> dict[tuple[str, int], list[int]]:
    """The rows of each batch that was taken. One taken again after a kill has the same rows."""
    found: dict[tuple[str, int], list[int]] = {}
    for line in order.read_text().splitlines():
        name, number, rows = json.loads(line)
        assert found.setdefault((name, number), rows) == rows
    return found


def lines(file: Path) -> int:
    return len(file.read_bytes().splitlines()) if file.exists() else 0


def wait_for_lines(process: Any, file: Path, count: int, every: float = 0.002) -> None:
    """Until the process has written so many lines, of which it is in the midst then."""

    def there() -> bool:
        assert process.is_alive(), "it ended before it was met"
        return lines(file) >= count

    wait_until(there, f"{count} lines in {file.name}", every=every)


def newest(run: Path) -> dict[str, Any]:
    latest: dict[str, Any] = json.loads((run / "checkpoints/latest.json").read_text())["checkpoints"][0]
    return latest


def kill_before_a_checkpoint(start: Callable[[str], Any], tmp_path: Path) -> None:
    """The validation before the first step is written down, and no state is kept: once more if the kill came late."""
    run, order = tmp_path / "killed", tmp_path / "killed.order"
    for _ in range(5):
        process = start("killed")
        wait_for_lines(process, run / "metrics.jsonl", 1, every=0.001)
        process.kill()
        process.join()
        if not (run / "checkpoints/latest.json").exists():
            return
        shutil.rmtree(run)
        order.unlink()
    pytest.fail("each kill came after the first checkpoint")


def test_killed_again_and_again_it_ends_with_the_very_same_bits(
    start: Callable[[str], Any], tmp_path: Path
) -> None:
    lots = random.Random(20)
    order = tmp_path / "killed.order"
    kill_before_a_checkpoint(start, tmp_path)
    for _ in range(KILLS):
        before, process = lines(order), start("killed")
        further = before + lots.randint(6, 16)
        wait_for_lines(process, order, further)
        time.sleep(lots.uniform(0, 0.04))
        process.kill()
        process.join()
        assert process.exitcode == -9
        assert not (tmp_path / "killed/result.json").exists()
    for name in ("killed", "whole"):
        process = start(name)
        process.join()
        assert process.exitcode == 0
    assert lines(order) > lines(tmp_path / "whole.order"), "no kill cost any work: they came too late"
    assert taken(order) == taken(tmp_path / "whole.order")
    assert newest(tmp_path / "killed") == newest(tmp_path / "whole")
    for name in ("metrics.jsonl", "curves.png", "bundle/config.json", "bundle/README.md"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert list((tmp_path / "killed").rglob("*.partial")) == []


def test_of_two_processes_in_one_folder_the_second_goes_on_and_the_first_ends(
    start: Callable[[str], Any], tmp_path: Path
) -> None:
    first = start("both")
    wait_for_lines(first, tmp_path / "both.order", 20)
    second = start("both")
    first.join()
    second.join()
    whole = start("whole")
    whole.join()
    assert [process.exitcode for process in (first, second, whole)] == [1, 0, 0]
    assert newest(tmp_path / "both") == newest(tmp_path / "whole")
    for name in ("metrics.jsonl", "bundle/config.json", "bundle/README.md"):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_full_disk_is_one_line_and_costs_nothing_that_was_kept(data: Path, tmp_path: Path) -> None:
    config = small_config(max_steps=14, checks_per_epoch=1)
    calls = iter([False] * 5)
    with open_small(data) as faces:
        small_train(faces, tmp_path / "full", config, should_stop=lambda: next(calls, True))
        kept = newest(tmp_path / "full")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # No file may be larger: EFBIG.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            with refused("disk-full") as error:
                small_train(faces, tmp_path / "full", config)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "\n" not in str(error.value)
        assert newest(tmp_path / "full") == kept
        outcome = small_train(faces, tmp_path / "full", config)
        whole = small_train(faces, tmp_path / "whole", config)
    assert (outcome.resumed_from, outcome.digest) == (5, whole.digest)
    assert newest(tmp_path / "full") == newest(tmp_path / "whole")


def test_a_part_that_is_cut_off_in_mid_run_ends_it_and_once_restored_it_goes_on(
    data: Path, tmp_path: Path
) -> None:
    config = small_config(max_steps=14)
    part = data / "part-00001.parquet"
    content = part.read_bytes()
    dataset = open_dataset(fs.LocalFileSystem(), str(data))
    streamed = {"size": 64, "cache_bytes": 0, "window": 1}
    with open_small(data) as faces:
        attributes = faces.attributes
    with open_faces(dataset, attributes=attributes, **streamed) as faces:  # type: ignore[arg-type]
        whole = small_train(faces, tmp_path / "whole", config)
        calls = iter([False] * 3)
        small_train(faces, tmp_path / "cut", config, should_stop=lambda: next(calls, True))
        try:
            part.write_bytes(content[:-100])
            with refused("dataset-damaged"):
                small_train(faces, tmp_path / "cut", config)
        finally:
            part.write_bytes(content)
        assert small_train(faces, tmp_path / "cut", config).digest == whole.digest


def test_a_run_on_s3_stops_and_goes_on_like_one_on_a_disk(
    data: Path, tmp_path: Path, moto_server: dict[str, str], fresh_bucket: Callable[..., str]
) -> None:
    store = open_store(f"s3://{fresh_bucket(moto_server)}/runs/one")
    filesystem, path = store.filesystem()
    folder, config = Folder(path, filesystem), small_config(max_steps=14)
    calls = iter([False] * 5)
    with open_small(data) as faces:
        whole = small_train(faces, tmp_path, config)
        small_train(faces, folder, config, should_stop=lambda: next(calls, True))
        outcome = small_train(faces, folder, config)
        assert (outcome.resumed_from, outcome.digest) == (5, whole.digest)
        assert small_train(faces, folder, config) == outcome
    assert store.get("metrics.jsonl").data == (tmp_path / "metrics.jsonl").read_bytes()
    assert json.loads(store.get("checkpoints/latest.json").data)["checkpoints"][0] == newest(tmp_path)
    kept = {info.key.split("/")[1] for info in store.list() if info.key.startswith("checkpoints/step-")}
    assert len(kept) == 2
