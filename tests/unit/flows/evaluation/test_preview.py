"""The page of an edit run, made of rows and pictures without a run."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flows.edit.run import EditRun
from flows.evaluation import preview
from flows.evaluation.preview import Shown, page_of
from flows.settings import EditSettings, PreviewSettings
from flows.storage import open_store


@pytest.fixture
def run() -> EditRun:
    return EditRun.model_construct(
        run_id="r-0001",
        settings=EditSettings(source="/in", destination="/out"),
        made_of={"edits": [["Eyeglasses", True, 1.0]]},
    )


def row(key: str, **changes: Any) -> dict[str, Any]:
    usual = {"key": key, "status": "edited", "stage": None, "reason": None, "style": "Round", "notes": None}
    return usual | changes


def test_a_run_that_shows_no_faces_has_a_page_without_pictures(
    run: EditRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = run.under(run.settings.model_copy(update={"no_faces": True}))
    monkeypatch.setattr(preview, "find_run", lambda url: (run, open_store(url)))
    monkeypatch.setattr(preview, "_choose", lambda *_: (Counter(edited=1), [row("a.jpg")]))
    page = tmp_path / "page.html"
    result = preview.write_preview(PreviewSettings(run=str(tmp_path), output=str(page)))
    assert result["link"] == page.as_uri()
    assert "a.jpg" in page.read_text()
    assert "<img" not in page.read_text()


def test_what_a_key_or_a_reason_holds_is_text(run: EditRun) -> None:
    evil = '<script>alert(1)</script>&".jpg'
    page = page_of(
        run, Counter(failed=1), [Shown(row(evil, status="failed", stage="decode", reason="<b>no"))]
    ).decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;.jpg" in page
    assert "decode: &lt;b&gt;no" in page


def test_a_page_that_would_be_too_large_leaves_pictures_out_and_says_so(
    run: EditRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "LARGEST", 100_000)
    shown = [Shown(row(f"{number}.jpg"), b"x" * 10_000, b"y" * 10_000) for number in range(9)]
    page = page_of(run, Counter(edited=20), shown)
    assert len(page) < 100_000
    text = page.decode()
    assert 0 < text.count("<img") < 18
    assert text.count("<figure") == 9
    assert f"{9 - text.count('<img') // 2} images are here without pictures" in text
    assert "11 more images" in text
