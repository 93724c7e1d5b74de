"""What cannot be read or written, alone among others: a row or a listed reason, and every other image is edited."""

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.edit.job import resolve
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings
from tests.support.images.pictures import noise, saved
from tests.support.processes import bound_by_modes

MakeSettings = Callable[..., EditSettings]

# Edits twice: the second time nothing can be read.
AS_A_PLAIN_USER = """
import json, pathlib, sys
from flows.edit.job import resolve
from flows.edit.plan.prepared_run import prepare
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings
from flows.storage import AccessDenied
folder = pathlib.Path(sys.argv[2])
for closed in (folder / "in/mode 000.jpg", folder / "in/unlisted/a.jpg", folder / "in/unsearched/a.jpg"):
    try:
        closed.read_bytes()
    except PermissionError:
        continue
    sys.exit(f"{closed} can be read")
settings = EditSettings.model_validate_json(sys.argv[1])
edit_shard(prepare(resolve(settings)).run.url, 0, settings)
for path in [*folder.glob("in/*.jpg"), folder / "in/closed/a.jpg"]:
    path.chmod(0)
again = settings.model_copy(update={"redo": True, "run_id": "again"})
prepared = prepare(resolve(again))
try:
    edit_shard(prepared.run.url, 0, again)
except AccessDenied:
    assert not list(prepared.store.list("ledger/"))
else:
    sys.exit("nothing could be read, and there is a ledger")
"""


def rows_of(settings: EditSettings) -> dict[str, dict[str, Any]]:
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, PreparedRun)
    tables = [read_rows(prepared.store, key) for key in finished_shards(prepared.store).values()]
    return {row["key"]: row for table in tables for row in table.to_pylist()}


def deep_file(folder: Path) -> None:
    """Write a file whose path is longer than the kernel takes."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("x.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def test_what_is_closed_to_this_user_is_a_row(tmp_path: Path, settings: MakeSettings) -> None:
    image = saved(noise(0))
    for key in (
        *("good.jpg", "mode 000.jpg", "unlisted/a.jpg", "unsearched/a.jpg", "closed/a.jpg", "linked.jpg"),
        os.fsdecode(b"caf\xe9.jpg"),
    ):
        (tmp_path / "in" / key).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / key).write_bytes(image)
    deep_file(tmp_path / "in")
    (tmp_path / "in" / "mode 000.jpg").chmod(0)
    (tmp_path / "in" / "unlisted").chmod(0)
    (tmp_path / "in" / "unsearched").chmod(0o444)
    (tmp_path / "out" / "closed").mkdir(mode=0o555)
    (tmp_path / "elsewhere").write_bytes(b"not ours")
    (tmp_path / "out" / "linked.jpg").symlink_to(tmp_path / "elsewhere")
    wanted = settings(run_id="run")
    try:
        child = subprocess.run(
            [*bound_by_modes(), sys.executable, "-c", AS_A_PLAIN_USER, wanted.model_dump_json(), tmp_path],
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        (tmp_path / "in" / "unlisted").chmod(0o755)
        (tmp_path / "in" / "unsearched").chmod(0o755)
    assert child.returncode == 0, child.stderr
    rows = rows_of(wanted)
    (deep,) = [key for key in rows if key.startswith("ddd")]
    assert {key: (row["status"], row["stage"]) for key, row in rows.items()} == {
        "good.jpg": ("edited", None),
        "mode 000.jpg": ("failed", "fetch"),
        "unlisted/": ("failed", "list"),
        "unsearched/a.jpg": ("failed", "list"),
        r"caf\xe9.jpg": ("failed", "list"),
        deep: ("failed", "list"),
        "closed/a.jpg": ("failed", "put"),
        "linked.jpg": ("failed", "put"),
    }
    assert (tmp_path / "elsewhere").read_bytes() == b"not ours"


def test_every_key_has_a_row_or_a_listed_reason(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.edit.plan.listing._IGNORED_ROWS", 4)
    source = tmp_path / "in"
    by_content = ["IMG_1.HEIC", "john.smith", "r.jpg_large", "c.jpg ", "Dr. Anna Meyer", "s.jpg!d", "none"]
    for name in by_content:
        (source / name).write_bytes(saved(noise(0)))
    (source / "cut short").write_bytes(saved(noise(0))[:2000])
    foreign = ["README", "strange.thing", "empty"]
    for name, data in zip(foreign, [b"text", b"\0\1\2", b""], strict=True):
        (source / name).write_bytes(data)
    (source / "large.thing").write_bytes(bytes(100_000))
    by_name = ["notes.txt", "a.json", "raw.dng", ".hidden.jpg"]
    for name in by_name:
        (source / name).write_bytes(saved(noise(0)))
    (tmp_path / "elsewhere").mkdir()
    (source / "out.jpg").symlink_to(tmp_path / "elsewhere")
    (source / "dangling.jpg").symlink_to("nowhere")
    (source / "inside.jpg").symlink_to("none")
    os.mkfifo(source / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "socket.jpg"))
    prepared = prepare(resolve(settings(max_bytes=90_000)))
    assert isinstance(prepared, PreparedRun)
    edit_shard(prepared.run.url, 0, prepared.run.settings)
    outcomes = {key: (row["status"], row["stage"]) for key, row in rows_of(prepared.run.settings).items()}
    assert outcomes == {
        **dict.fromkeys([*by_content, "inside.jpg"], ("edited", None)),
        **dict.fromkeys(foreign, ("skipped", "decode")),
        "large.thing": ("skipped", "fetch"),
        "cut short": ("failed", "decode"),
    }
    listed = [
        row
        for path in sorted(tmp_path.glob("out/_runs/*/ignored/*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    assert [row["key"] for row in listed] == sorted(
        [*by_name, "out.jpg", "dangling.jpg", "pipe.jpg", "socket.jpg"]
    )
    assert Counter(row["reason"] for row in listed) == prepared.run.ignored
    assert {path.name for path in source.iterdir()} == outcomes.keys() | {row["key"] for row in listed}


def test_an_object_that_has_vanished_or_changed_since_it_was_planned(
    tmp_path: Path, settings: MakeSettings
) -> None:
    for name in ("changed.jpg", "good.jpg", "vanished.jpg"):
        (tmp_path / "in" / name).write_bytes(saved(noise(0)))
    prepared = prepare(resolve(settings()))
    assert isinstance(prepared, PreparedRun)
    (tmp_path / "in" / "vanished.jpg").unlink()
    (tmp_path / "in" / "changed.jpg").write_bytes(saved(noise(1)))
    edit_shard(prepared.run.url, 0, prepared.run.settings)
    rows = rows_of(prepared.run.settings)
    assert {key: row["status"] for key, row in rows.items()} == {
        "changed.jpg": "edited",
        "good.jpg": "edited",
        "vanished.jpg": "failed",
    }
    assert (tmp_path / "out" / "changed.jpg").read_bytes() != (tmp_path / "out" / "good.jpg").read_bytes()
