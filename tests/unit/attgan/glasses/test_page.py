import numpy as np

from attgan.glasses.page import POSES, TILE, draw_page, every_style, heads_in_poses


def test_page_shows_each_pair_in_every_pose():
    rng = np.random.default_rng(0)
    bare = np.concatenate([face for face, _ in heads_in_poses()], 1)
    page = draw_page(heads_in_poses(), every_style(rng, 4), rng)
    assert page.shape == (2 * TILE, 2 * len(POSES) * TILE, 3)
    for tile in range(4 * len(POSES)):
        row, column = divmod(tile, 2 * len(POSES))
        part = page[row * TILE :][:TILE, column * TILE :][:, :TILE]
        pose = column % len(POSES)
        assert (part != bare[:, pose * TILE :][:, :TILE]).any(-1).sum() > 100
