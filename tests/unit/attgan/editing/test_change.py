"""The change that an edit makes: what training saw, at the photograph's size, inside the mask."""

import numpy as np
import torch
import torch.nn.functional as F

from attgan.attributes import Edit
from attgan.data.transforms import Box
from attgan.editing.change import change_of
from attgan.editing.compositing import composite, edit_mask
from attgan.editing.placement import box_placement, put_change
from attgan.models import GeneratorConfig

SIZE = 64
DIRECT = GeneratorConfig(image_size=SIZE, compositing="direct")
GLASSES = [Edit("Eyeglasses", True)]


def test_rounding_to_grey_levels_leaves_almost_no_change() -> None:
    random = np.random.default_rng(3)
    drawn = random.integers(2, 254, (SIZE, SIZE, 3), dtype=np.uint8)
    noisy = (drawn + random.integers(-1, 2, drawn.shape)).astype(np.uint8)
    photograph = drawn.copy()
    put_change(photograph, box_placement(Box(0, 0, SIZE)), change_of(DIRECT, GLASSES, noisy, drawn, SIZE))
    assert int(np.abs(photograph.astype(int) - drawn).max()) <= 1
    assert (photograph != drawn).mean() < 0.01


def test_photograph_gets_the_composite_of_training() -> None:
    face, edited, unedited = (
        (torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 200 + 27).round() / 255
        for seed in (7, 8, 9)
    )
    expected = composite(face, edited, unedited, edit_mask(SIZE))[0]

    def pixels(image: torch.Tensor) -> np.ndarray:
        return (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()

    photograph = pixels(face).copy()
    put_change(
        photograph,
        box_placement(Box(0, 0, SIZE)),
        change_of(DIRECT, GLASSES, pixels(edited), pixels(unedited), SIZE),
    )
    distance = torch.from_numpy(photograph).permute(2, 0, 1) / 255 - expected
    assert float(distance.abs().max()) <= 4 / 255


def test_old_bundles_and_other_attributes_are_thresholded() -> None:
    edited, unedited = (np.full((SIZE, SIZE, 3), grey, np.uint8) for grey in (100, 128))
    old = change_of(GeneratorConfig(image_size=SIZE), GLASSES, edited, unedited, SIZE)
    other = change_of(DIRECT, [Edit("Male", True)], edited, unedited, SIZE)
    new = change_of(DIRECT, GLASSES, edited, unedited, SIZE)
    assert not torch.equal(old, new)
    outside = edit_mask(SIZE) == 0
    assert float(new[:, outside].abs().max()) == 0
    assert float(other[:, outside].abs().max()) > 0


def test_large_face_gets_sharper_edges_inside_the_mask() -> None:
    unedited = np.full((SIZE, SIZE, 3), 160, np.uint8)
    edited = unedited.copy()
    # A dark bar, as soft as a generator draws it.
    rows = slice(SIZE // 2 - 3, SIZE // 2 + 4)
    edited[rows, SIZE // 4 : -SIZE // 4] = np.array([130, 90, 50, 30, 50, 90, 130], np.uint8)[:, None, None]
    as_drawn, smaller, larger = (
        change_of(DIRECT, GLASSES, edited, unedited, side) for side in (SIZE, SIZE / 2, SIZE * 3)
    )
    assert torch.equal(as_drawn, smaller)
    assert larger.shape == (3, 3 * SIZE, 3 * SIZE)
    plain = F.interpolate(as_drawn[None], scale_factor=3, mode="bicubic")[0]
    assert float(larger.diff(dim=1).abs().max()) > 1.5 * float(plain.diff(dim=1).abs().max())
    # The bar is as dark as before, and nothing overshoots.
    assert float(plain.min()) - 1e-3 <= float(larger.min()) <= 0.9 * float(as_drawn.min())
    assert float(larger.max()) <= 0.02
    outside = (edit_mask(SIZE) == 0).repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert float(larger[:, outside].abs().max()) == 0
