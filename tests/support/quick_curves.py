"""Pictures of curves hold their numbers as text, because to draw them takes longer than a small training."""

import pytest


@pytest.fixture(autouse=True)
def quick_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every run but those of fixtures of a module or a session, which come before."""
    for module in ("run_folder.pictures", "classifier.learner"):
        monkeypatch.setattr(f"attgan.training.{module}.draw_curves", lambda panels: repr(panels).encode())
