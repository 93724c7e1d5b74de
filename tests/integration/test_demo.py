"""The demo, in small, on real servers: glasses are on faces that had none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attgan.data.codec import decode
from attgan.data.transforms import face_box, take_face
from attgan.editing.editor import make_editor
from flows.demo.edit_demo import OUTPUT, PHOTOGRAPHS, run_demo
from flows.settings import DemoSettings
from flows.storage import open_store
from flows.storage.bundles import open_bundle

IMAGES = 60


pytestmark = pytest.mark.stack


def glasses(url: str) -> list[bool]:
    """What the shipped bundle's classifier says of the images at a URL, in the order of their names."""
    bundle = open_bundle("default")
    size = bundle.config.generator.image_size
    store = open_store(url)
    faces = []
    for info in store.list():
        if info.key.endswith(".jpg") and not info.key.startswith("_"):
            pixels = decode(store.get(info.key).data).pixels
            box = face_box(pixels.shape[1], pixels.shape[0])
            assert box is not None
            faces.append(take_face(pixels, box, size))
    assert len(faces) == IMAGES
    seen = make_editor(bundle.generator, "cpu", 16, bundle.classifier).recognise(np.stack(faces))
    assert seen is not None
    column: list[bool] = seen[:, bundle.config.attributes.index("Eyeglasses")].tolist()
    return column


def test_the_demo_puts_glasses_on(
    stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    reports = run_demo(DemoSettings(images=IMAGES))
    drawn, photographs = reports["drawn"], reports["photographs"]
    assert drawn["counts"]["edited"] + drawn["counts"]["copied"] == IMAGES
    assert sum(glasses(drawn["source"])) < IMAGES / 2
    assert sum(glasses(drawn["destination"])) >= 0.9 * IMAGES
    assert sum(photographs["counts"].values()) == len(list(PHOTOGRAPHS.glob("*.jpg"))) == 60
    assert photographs["counts"]["edited"] > 45
    assert photographs["counts"]["failed"] == 0
    assert open_bundle("default").config.licence in capsys.readouterr().out.replace("\n", " ")
    for name in reports:
        with Image.open(OUTPUT / f"{name}.jpg") as picture:
            assert picture.width > 1000
