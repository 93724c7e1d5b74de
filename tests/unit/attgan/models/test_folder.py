"""Files of a folder are written completely or not at all, on the local disk and elsewhere."""

import os

import pytest

from attgan.models.folder import Folder


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
