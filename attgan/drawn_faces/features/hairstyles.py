"""Hairstyles: a silhouette, and the opening for the face."""

from __future__ import annotations

from typing import Literal, NamedTuple

from attgan.drawn_faces.bank import Contour, mirrored


class Style(NamedTuple):
    """outer: silhouette of all the hair; opening: where no hair hangs in front; both in face coordinates.

    flow: "fall" (from a parting down), "back" (combed up and back) or "curl"; behind: hair shows behind the
    neck; ears: the ears are free.
    """

    outer: Contour
    opening: Contour
    flow: Literal["fall", "back", "curl"]
    behind: bool
    ears: bool


_SHORT_OPENING = (
    (0.0, 63.0), (13.0, 62.5), (25.0, 65.0), (32.0, 73.0), (36.0, 84.0), (39.5, 92.0), (41.5, 102.0),
    (42.5, 116.0),
    (62.0, 121.0), (109.0, 150.0), (109.0, 258.0), (0.0, 259.0),
)  # fmt: skip
_LONG_OUTER = (
    (0.0, 26.5), (14.0, 28.0), (28.0, 33.5), (40.5, 45.0), (50.0, 62.0), (55.5, 90.0), (58.0, 120.0),
    (60.0, 150.0), (63.0, 185.0),
    (66.0, 225.0), (64.0, 258.0), (0.0, 259.0),
)  # fmt: skip
_LONG_OPENING = (
    (0.0, 52.0), (8.0, 57.0), (21.0, 66.0), (30.5, 79.0), (36.0, 95.0), (39.0, 115.0), (39.5, 140.0),
    (38.0, 165.0),
    (36.0, 190.0), (40.0, 220.0), (44.0, 258.0), (0.0, 259.0),
)  # fmt: skip

STYLES: dict[str, Style] = {
    "long": Style(mirrored(_LONG_OUTER), mirrored(_LONG_OPENING), "fall", behind=True, ears=False),
    "side": Style(
        mirrored(_LONG_OUTER),
        (
            (-15, 52), (0, 56), (17, 67), (30, 84), (37, 104), (39, 125), (39.5, 150), (38, 185),
            (42, 258), (0, 259),
            (-48, 258), (-44, 215), (-40.5, 185), (-40, 150), (-41, 125), (-39, 98), (-34, 76), (-25, 61),
        ),
        "fall",
        behind=True,
        ears=False,
    ),
    "bob": Style(
        mirrored((
            (0, 28), (22, 31), (42, 43), (54, 66), (59, 98), (61, 130), (59, 155), (53, 170), (44, 177),
            (30, 178), (0, 170),
        )),
        mirrored((
            (0, 53), (9, 57), (22, 66), (31.5, 80), (37, 97), (39.5, 118), (39.5, 140), (37, 160),
            (33, 172), (30, 190), (0, 200),
        )),
        "fall",
        behind=True,
        ears=False,
    ),
    "updo": Style(
        mirrored((
            (0, 13), (12, 15), (18, 24), (26, 33), (39, 43), (47, 62), (49, 86), (47, 104), (43, 114),
            (0, 118),
        )),
        mirrored((
            (0, 57), (16, 59), (29, 67), (37, 81), (41, 97), (43, 114), (60, 120), (109, 150), (109, 258),
            (0, 259),
        )),
        "back",
        behind=False,
        ears=True,
    ),
    "crop": Style(
        mirrored((
            (0, 33), (16, 34.5), (31, 41), (42, 54), (47.5, 74), (48.5, 94), (47, 108), (44.5, 118), (0, 121),
        )),
        mirrored(_SHORT_OPENING),
        "back",
        behind=False,
        ears=True,
    ),
    "parted": Style(
        (
            (-20, 31), (0, 25), (20, 27), (38, 37), (47, 54), (50, 76), (49, 96), (47, 108), (44.5, 118),
            (0, 121),
            (-44.5, 118), (-47, 108), (-48.5, 92), (-47, 70), (-41, 50), (-32, 38),
        ),
        (
            (-22, 58), (-8, 60), (8, 66), (22, 70), (32, 77), (37, 86), (40, 96), (42.5, 116), (62, 121),
            (109, 150),
            (109, 258), (0, 259), (-109, 258), (-109, 150), (-62, 121), (-42.5, 116), (-40.5, 97),
            (-37, 82), (-31, 66),
        ),
        "fall",
        behind=False,
        ears=True,
    ),
    "quiff": Style(
        mirrored((
            (0, 19), (15, 18), (29, 26), (40, 43), (46, 66), (47.5, 92), (46.5, 108), (44, 118), (0, 121),
        )),
        mirrored(((0, 60), (16, 59.5), (27, 64), *_SHORT_OPENING[3:])),
        "back",
        behind=False,
        ears=True,
    ),
    "afro": Style(
        mirrored((
            (0, 13), (22, 16), (42, 28), (56, 52), (60, 82), (56, 106), (48, 124), (0, 126),
        )),
        mirrored(((0, 62), (14, 61), (27, 66), (35, 75), (38, 90), (40, 104), (42, 122), *_SHORT_OPENING[8:])),
        "curl",
        behind=False,
        ears=True,
    ),
    "mane": Style(
        mirrored((
            (0, 30), (20, 32), (38, 43), (50, 63), (54.5, 92), (56, 122), (58, 152), (58, 180), (52, 200),
            (36, 208), (0, 205),
        )),
        mirrored((
            (0, 55), (10, 58), (23, 67), (33, 79), (39, 95), (42, 115), (43, 140), (42, 165), (40, 190),
            (40, 230), (0, 240),
        )),
        "fall",
        behind=True,
        ears=False,
    ),
}  # fmt: skip
