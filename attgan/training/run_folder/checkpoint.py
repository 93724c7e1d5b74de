"""Checkpoints on any filesystem: safetensors and JSON. The newest two are kept, and none is ever half written.

``checkpoints/step-0000001234/`` holds the files of one state. ``checkpoints/latest.json`` lists the valid states,
newest first, with the sha256 of every file. It is written last: on a local disk by a rename, on S3 as one object. So a
run that is killed at any instant resumes from the state before. If the files of the newest state are damaged, the older
one is used.

Random states are not stored: everything random in a step, and the order of the data, is derived from the seed and the
step's number (:mod:`attgan.randomness`).
"""

import contextlib
import errno
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pyarrow import fs
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from torch import Tensor

from attgan.errors import Diverged, UserError
from attgan.models.bundle_config import Sha256
from attgan.models.folder import PARTIAL, Folder
from attgan.models.tensors import check_finite, pack, unpack
from attgan.training.run_folder.ownership import OwnedFolder

FOLDER = "checkpoints"
LATEST = f"{FOLDER}/latest.json"
KEPT = 2

_STATE = "state.json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MEMORY: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Model):
    """One valid state.

    Attributes:
        name: of its folder.
        step: steps done.
        files: sha256 of each.
    """

    name: Annotated[str, Field(pattern=r"^step-\d{10}$")]
    step: Annotated[int, Field(ge=0)]
    files: dict[str, Sha256]


class Latest(_Model):
    """The content of ``latest.json``: the valid states, newest first."""

    schema_version: Literal[1] = 1
    checkpoints: Annotated[tuple[Entry, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state.

    Attributes:
        step: steps done.
        tensors: by group (a network, an optimiser) and name; float32 or int64, finite.
        memory: everything else, as JSON.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    memory: Mapping[str, JsonValue]


def write_checkpoint(folder: Folder, checkpoint: Checkpoint) -> None:
    """Write a state, and then remove all older ones but the last.

    Args:
        folder: of the run.
        checkpoint: what to write.

    Raises:
        Diverged: a tensor is not finite. Nothing was written.
        UserError: the disk is full. The earlier checkpoints stay valid.
        OSError: what else the filesystem reports; the same holds.
    """
    name = step_name(checkpoint.step)
    refuse_infinite(checkpoint.tensors, checkpoint.step)
    before = [entry for entry in _entries(folder) if entry.step < checkpoint.step]
    files = {}
    with explaining_full_disk(folder, f"the state after step {checkpoint.step}", f"{FOLDER}/{name}"):
        for group, tensors in checkpoint.tensors.items():
            # One group at a time: all of them at once would double the memory.
            files[f"{group}.safetensors"] = _write(
                folder, f"{FOLDER}/{name}/{group}.safetensors", pack(tensors, "float32", group)
            )
        files[_STATE] = _write(
            folder, f"{FOLDER}/{name}/{_STATE}", _MEMORY.dump_json(dict(checkpoint.memory), indent=1)
        )
        entry = Entry(name=name, step=checkpoint.step, files=files)
        counting = (entry, *before[: KEPT - 1])
        _write_latest(folder, counting)
    remove_others(folder, FOLDER, {entry.name for entry in counting})


def read_checkpoint(folder: Folder) -> Checkpoint | None:
    """The newest undamaged state; None if none was ever written.

    Newer states that are damaged are removed from ``latest.json``: otherwise the next checkpoint would keep one of them
    as its predecessor, and drop the undamaged one.

    Raises:
        UserError: there are states, and all are damaged.
        OSError: what the filesystem reports, other than a missing file.
    """
    entries = _entries(folder)
    for damaged, entry in enumerate(entries):
        checkpoint = _read(folder, entry)
        if checkpoint is not None:
            if damaged:
                _write_latest(folder, entries[damaged:])
            return checkpoint
    if entries:
        raise UserError(
            "checkpoint-damaged",
            f"{folder.path}/{FOLDER}: the files of {' and '.join(entry.name for entry in entries)} are missing or "
            "not those that latest.json records; start anew in another folder",
        )
    return None


def refuse_infinite(groups: Mapping[str, Mapping[str, Tensor]], step: int) -> None:
    """Check that every tensor of every group is finite.

    Raises:
        Diverged: naming the first one that is not. The caller adds which state is saved.
    """
    for group, tensors in groups.items():
        try:
            check_finite(tensors, group)
        except UserError as error:
            raise Diverged(f"after step {step} {error.line}") from None


def step_name(step: int) -> str:
    """``step-0000001234``: the order of names is the order of steps."""
    return f"step-{step:010d}"


@contextlib.contextmanager
def explaining_full_disk(folder: Folder, what: str, started: str | None = None) -> Iterator[None]:
    """Turn the error of a full disk into a refusal, and remove the unfinished folder ``started`` to free its space.

    Raises:
        UserError: the disk became full inside.
    """
    try:
        yield
    except OSError as error:
        if isinstance(folder, OwnedFolder):
            # Another process may have taken over the run: then the error may come from its work on the files.
            folder.confirm()
        if started is not None:
            with contextlib.suppress(OSError, NotImplementedError):
                folder.filesystem.delete_dir(f"{folder.path}/{started}")
        if error.errno not in _FULL:
            raise
        raise UserError(
            "disk-full",
            f"{folder.path}: no space left for {what} ({error.strerror}); what was there before is untouched: free "
            "some space and start the same command again",
        ) from None


def remove_others(folder: Folder, below: str, kept: set[str]) -> None:
    """Remove the folders (and files half written) below ``below`` that are named ``step-…`` and not kept."""
    selector = fs.FileSelector(f"{folder.path}/{below}", allow_not_found=True)
    for info in folder.filesystem.get_file_info(selector):
        if info.type == fs.FileType.Directory and info.base_name.startswith("step-"):
            if info.base_name not in kept:
                with _gone_already():
                    folder.filesystem.delete_dir(info.path)
        elif info.base_name.endswith(PARTIAL):
            with _gone_already():
                folder.filesystem.delete_file(info.path)


@contextlib.contextmanager
def _gone_already() -> Iterator[None]:
    """Ignore that there is nothing to remove, or that another process removes or writes it at the same time.

    SeaweedFS still lists a folder whose objects are gone.
    """
    try:
        yield
    except OSError as error:
        if not isinstance(error, FileNotFoundError) and error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise


def _entries(folder: Folder) -> tuple[Entry, ...]:
    try:
        return Latest.model_validate_json(folder.read(LATEST)).checkpoints
    except FileNotFoundError:
        return ()
    except ValidationError:
        raise UserError(
            "checkpoint-damaged",
            f"{folder.path}/{LATEST}: is damaged, or was made by another version; start anew in another folder",
        ) from None


def _write_latest(folder: Folder, entries: tuple[Entry, ...]) -> None:
    folder.write(LATEST, Latest(checkpoints=entries).model_dump_json(indent=1).encode())


def _read(folder: Folder, entry: Entry) -> Checkpoint | None:
    """A state; None if a file is missing or its sha256 is not the recorded one."""
    tensors, memory = {}, None
    for name, digest in entry.files.items():
        try:
            content = folder.read(f"{FOLDER}/{entry.name}/{name}")
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() != digest:
            return None
        if name == _STATE:
            memory = _MEMORY.validate_json(content)
        else:
            tensors[name.removesuffix(".safetensors")] = unpack(
                content, f"{folder.path}: {entry.name}/{name}"
            )
    return None if memory is None else Checkpoint(entry.step, tensors, memory)


def _write(folder: Folder, name: str, content: bytes) -> str:
    folder.write(name, content)
    return hashlib.sha256(content).hexdigest()
