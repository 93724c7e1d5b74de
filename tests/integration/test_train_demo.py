"""The training demo, in small: every step of it, on real servers."""

from pathlib import Path

import pytest
from PIL import Image

from flows.demo.train_demo import INTENSITIES, OUTPUT, SHOWN, run_train_demo
from flows.settings import DemoTrainingSettings

pytestmark = [pytest.mark.stack, pytest.mark.long]


def test_the_demo_trains_measures_and_draws(
    stack: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = DemoTrainingSettings(quick=True)
    run_train_demo(settings)
    printed = capsys.readouterr().out
    assert "fine-tuned" in printed
    assert "nearer" in printed
    with Image.open(OUTPUT / "pairs.jpg") as picture:
        columns, rows = 2 + len(INTENSITIES), min(SHOWN, settings.resolved.pairs)
        assert picture.width / picture.height == pytest.approx(columns / rows, rel=0.1)
    for name in ("scratch-curves.png", "scratch-faces.jpg", "aligned-curves.png", "tuned-faces.jpg"):
        assert (OUTPUT / name).stat().st_size > 1000
