"""How a Dockerfile is read; that its lines are executed is shown by `make cluster-check`."""

from pathlib import Path

import pytest

from tests.support import cluster_image
from tests.support.cluster_image import DOCKERFILE, Image, build, instructions


def test_lines_are_joined_and_comments_left_out() -> None:
    text = "# first\nFROM debian:bookworm\nRUN a \\\n    # between\n    && b\n\nUSER 1\n"
    assert list(instructions(text)) == [("FROM", "debian:bookworm"), ("RUN", "a      && b"), ("USER", "1")]


def test_every_instruction_of_ours_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[tuple[str, str, bool]] = []

    def run(image: Image, command: str, *, secret: bool = False) -> None:
        commands.append((image.user, command, secret))

    monkeypatch.setattr(cluster_image, "run", run)
    monkeypatch.setattr(cluster_image, "_debootstrap", lambda image, base: None)
    image = build(tmp_path, DOCKERFILE.read_text(), {"WHEEL_INDEX": "file:///wheels"})
    assert (image.user, image.folder) == ("1000:1000", "/home/attgan")
    assert image.environment["PATH"].startswith("/opt/attgan/.venv/bin:/")
    assert image.arguments == {"WHEEL_INDEX": "file:///wheels"}
    # Only the installation sees the secret, and no line is run by another user than root.
    assert [secret for _, _, secret in commands] == [False, False, True, False]
    assert {user for user, _, _ in commands} == {"0:0"}
    assert (tmp_path / "opt/attgan/flows/cli/main.py").is_file()
    assert (tmp_path / "opt/attgan/infra/constraints.txt").is_file()
    assert not list(tmp_path.rglob("__pycache__"))


def test_unknown_instruction_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ONBUILD"):
        build(tmp_path, "ONBUILD RUN true", {})
