"""A checkpoint is whole or does not count, on a disk and on a store without renaming, with room and without."""

import errno
from pathlib import Path
from typing import Any

import fsspec
import pyarrow
import pytest
import torch
from pyarrow import fs

from attgan.errors import Diverged
from attgan.models.folder import Folder
from attgan.training.run_folder.checkpoint import LATEST, Checkpoint, read_checkpoint, write_checkpoint
from tests.support.refusals import refused


class Limited(fs.FSSpecHandler):  # type: ignore[misc]
    """A disk as a store without renaming, which has room for so many more files."""

    def __init__(self) -> None:
        super().__init__(fsspec.filesystem("file", auto_mkdir=True))
        self.room = 10**9

    def open_output_stream(self, path: str, metadata: Any) -> pyarrow.NativeFile:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= 1
        return super().open_output_stream(path, metadata)

    def move(self, src: str, dest: str) -> None:
        raise NotImplementedError("no renaming here")


def checkpoint(step: int) -> Checkpoint:
    random = torch.Generator().manual_seed(step)
    tensors = {
        "generator": {"a": torch.randn(3, 4, 2, 2, generator=random), "count": torch.tensor(step)},
        "adam": {"a/exp_avg": torch.randn(3, generator=random), "a/step": torch.tensor(float(step))},
    }
    return Checkpoint(step, tensors, {"best": None, "nested": {"x": [1, 2.5]}})


def assert_same(found: Checkpoint | None, step: int) -> None:
    assert found is not None
    wanted = checkpoint(step)
    assert (found.step, found.memory) == (wanted.step, wanted.memory)
    assert found.tensors.keys() == wanted.tensors.keys()
    for group, tensors in wanted.tensors.items():
        assert tensors.keys() == found.tensors[group].keys()
        assert all(torch.equal(tensor, found.tensors[group][name]) for name, tensor in tensors.items())


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    filesystem = None if request.param == "disk" else fs.PyFileSystem(Limited())
    return Folder(tmp_path / "run", filesystem)


def folders(folder: Folder) -> list[str]:
    return sorted(path.name for path in (Path(folder.path) / "checkpoints").iterdir())


def test_what_is_written_comes_back_and_two_are_kept(folder: Folder) -> None:
    assert read_checkpoint(folder) is None
    for step in (5, 10, 1_000_000):
        write_checkpoint(folder, checkpoint(step))
        assert_same(read_checkpoint(folder), step)
    assert folders(folder) == ["latest.json", "step-0000000010", "step-0001000000"]


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_state_gives_way_to_the_one_before(folder: Folder, harm: str) -> None:
    write_checkpoint(folder, checkpoint(5))
    write_checkpoint(folder, checkpoint(10))
    for victim, expected in (("step-0000000010", 5), ("step-0000000005", None)):
        file = Path(folder.path) / "checkpoints" / victim / "adam.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        if harm == "remove":
            file.unlink()
        else:
            file.write_bytes(content if harm == "flip" else content[:-1])
        if expected is not None:
            assert_same(read_checkpoint(folder), expected)
        else:
            with refused("checkpoint-damaged", "step-0000000005"):
                read_checkpoint(folder)


def test_removing_what_another_process_removes_just_now_is_no_error(tmp_path: Path) -> None:
    class Racing(Limited):
        def delete_dir(self, path: str) -> None:
            raise OSError(errno.ENOTEMPTY, "Directory not empty")

        def delete_file(self, path: str) -> None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    folder = Folder(tmp_path / "run", fs.PyFileSystem(Racing()))
    for step in (5, 10, 12):
        write_checkpoint(folder, checkpoint(step))
        (tmp_path / "run/checkpoints/latest.json.partial").write_bytes(b"half")
    assert_same(read_checkpoint(folder), 12)


def test_the_rest_of_a_killed_write_is_ignored_and_then_removed(folder: Folder) -> None:
    write_checkpoint(folder, checkpoint(5))
    rest = Path(folder.path) / "checkpoints/step-0000000007"
    rest.mkdir()
    (rest / "generator.safetensors").write_bytes(b"half")
    (rest.parent / "latest.json.partial").write_bytes(b"half")
    assert_same(read_checkpoint(folder), 5)
    write_checkpoint(folder, checkpoint(10))
    assert folders(folder) == ["latest.json", "step-0000000005", "step-0000000010"]


def test_a_state_that_is_not_finite_is_never_written(folder: Folder) -> None:
    write_checkpoint(folder, checkpoint(5))
    bad = checkpoint(10)
    bad.tensors["adam"]["a/exp_avg"][1] = float("inf")  # type: ignore[index]
    with pytest.raises(
        Diverged, match="after step 10 adam: tensor a/exp_avg holds values that are not finite"
    ):
        write_checkpoint(folder, bad)
    assert folders(folder) == ["latest.json", "step-0000000005"]


def test_a_disk_that_becomes_full_at_any_file_leaves_the_state_before(tmp_path: Path) -> None:
    store = Limited()
    folder = Folder(tmp_path / "run", fs.PyFileSystem(store))
    write_checkpoint(folder, checkpoint(5))
    # Two groups, the memory, latest.json: each is once the one that does not fit.
    for store.room in range(4):
        with refused("disk-full", "10"):
            write_checkpoint(folder, checkpoint(10))
        assert_same(read_checkpoint(folder), 5)
        assert folders(folder) == ["latest.json", "step-0000000005"]
    store.room = 4
    write_checkpoint(folder, checkpoint(10))
    assert_same(read_checkpoint(folder), 10)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"checkpoints": [{"name": "../../x", "step": 1, "files": {}}]}']
)
def test_a_latest_json_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    folder = Folder(tmp_path / "run")
    folder.write(LATEST, content.encode())
    with refused("checkpoint-damaged", "latest.json"):
        read_checkpoint(folder)
