"""Measures of a face by which figures are grouped: pose, colour and tone of the skin."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pixels = NDArray[np.uint8]
Tone = Literal["light", "intermediate", "tan", "dark"]

TONES: tuple[Tone, ...] = get_args(Tone)
TURNED = 20.0
"""Degrees of yaw above which a face counts as turned."""

NOSE = 0.4
"""Distance of the tip of the nose from the plane of eyes and mouth, in distances between the eyes, on a mean head."""

# Individual typology angles, in degrees, at which one class ends and the next begins (Chardon et al., 1991, whose two
# lightest classes are one here, and so are the two darkest).
_TONE_ENDS = (41.0, 28.0, 10.0)
# Left, top, right and bottom of the cheeks in shares of the face square's side: below the eyes, beside the nose.
_CHEEKS = ((0.33, 0.61, 0.42, 0.70), (0.58, 0.61, 0.67, 0.70))
# Grey levels by which the channels of a grey image differ on average at most, after JPEG compression.
_GREY = 3.0


def yaw_of(landmarks: ArrayLike) -> float:
    """How far a head is turned to a side, in degrees, positive where the nose points to the right of the picture.

    The tip of the nose is :data:`NOSE` distances between the eyes in front of the plane of eyes and mouth. A turn by
    the angle a moves its tip off the line from the middle of the eyes to the middle of the mouth, by NOSE · sin a, and
    brings the eyes to cos a of their distance. So tan a is what the tip is off that line, along the eyes and in the
    distance seen between them, over NOSE. A head that is tilted or nods as well has the same yaw.

    Args:
        landmarks: ``(5, 2)``: left eye, right eye, nose, corners of the mouth, as seen in the picture.

    Raises:
        ValueError: eyes and mouth are on one line.
    """
    left, right, nose, *mouth = np.asarray(landmarks, np.float64)
    middle = (left + right) / 2
    plane = np.column_stack([right - left, np.mean(mouth, axis=0) - middle])
    if abs(np.linalg.det(plane)) < 1e-9:
        raise ValueError("eyes and mouth are on one line")
    off, _ = np.linalg.solve(plane, nose - middle)
    return float(np.degrees(np.arctan(off / NOSE)))


def is_grey(pixels: Pixels) -> bool:
    """Whether an image ``(H, W, 3)`` uint8 has no colour, however it is stored."""
    values = pixels.astype(np.int16)
    return float((values.max(axis=2) - values.min(axis=2)).mean()) <= _GREY


def typology_angle(face: Pixels) -> float:
    """The individual typology angle of the cheeks, in degrees: arctan((L* - 50) / b*) of their median colour.

    Args:
        face: ``(S, S, 3)`` uint8, sRGB, an aligned face's square.
    """
    parts = [
        face[
            round(top * len(face)) : round(bottom * len(face)),
            round(left * len(face)) : round(right * len(face)),
        ]
        for left, top, right, bottom in _CHEEKS
    ]
    lightness, _, yellow = np.median(lab(np.concatenate([part.reshape(-1, 3) for part in parts])), axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def tone_of(face: Pixels) -> Tone:
    """The class of a coloured face's skin: above 41° ``light``, above 28° ``intermediate``, above 10° ``tan``.

    Light and exposure affect it: it is the tone in the picture, not that of the person.
    """
    return TONES[int(np.sum(typology_angle(face) <= np.array(_TONE_ENDS)))]


def lab(colours: Pixels) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of sRGB colours ``(n, 3)`` uint8: ``(n, 3)``."""
    values = colours / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    # Relative to white.
    shares = linear @ to_xyz.T / to_xyz.sum(axis=1)
    bent = np.where(shares > (6 / 29) ** 3, np.cbrt(shares), shares * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = bent.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
