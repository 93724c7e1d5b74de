"""Files of a folder are written completely or not at all, on the local disk and elsewhere."""

import os

import pytest
from pyarrow import fs

from attgan.models.folder import Folder, local_path


def test_file_is_written_replaced_and_removed(tmp_path):
    folder = Folder(tmp_path / "new" / "folder")
    assert not folder.has("a")
    folder.write("a", b"one")
    folder.write("a", b"two")
    assert folder.read("a") == b"two"
    folder.remove("a")
    folder.remove("a")
    assert not folder.has("a")


def test_interrupted_replacement_leaves_the_old_file(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    folder.write("a", b"old")

    def fail(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        folder.write("a", b"new")
    assert folder.read("a") == b"old"


def test_missing_file_and_file_as_folder_are_not_found(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for folder in (Folder(tmp_path), Folder(tmp_path / "file")):
        with pytest.raises(FileNotFoundError):
            folder.read("a")
    assert Folder(tmp_path / "file").is_file()


def test_local_path_is_found_through_sub_filesystems(tmp_path):
    inner = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    assert local_path("a/b", inner) == tmp_path / "a/b"
