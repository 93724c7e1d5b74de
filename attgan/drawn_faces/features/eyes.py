"""Eyes and eyebrows."""

from __future__ import annotations

import math

import numpy as np

from attgan.drawn_faces.bank import sample
from attgan.drawn_faces.canvas import (
    EYE_U,
    EYE_V,
    Array,
    Canvas,
    bell,
    cover,
    paint,
    plane,
    shadow,
    unit,
    window,
)
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.features.skin import Skin
from attgan.drawn_faces.relief import age_of

_HALF_WIDTH = 12.2


def paint_eyes(face: Face, canvas: Canvas, skin: Skin) -> None:
    """Paint both eyes into the sockets of the skin."""
    build, appearance, moment, male = face.build, face.appearance, face.moment, face.traits.male
    where = window(-EYE_U - 16, EYE_V - 13, EYE_U + 16, EYE_V + 7)
    # p grows outwards from the middle of each eye, q downwards: one set of curves serves both.
    u = canvas.u[where]
    p, q = np.abs(u) - np.float32(EYE_U), canvas.v[where] - EYE_V
    lit = skin.shade[where]
    t = p / _HALF_WIDTH
    arch = np.sqrt(np.maximum(1 - t * t, 0))
    old = age_of(face)
    opened = (
        5.5 + 1.1 * build.eye_open - 0.5 * male - 0.7 * old - 0.9 * moment.smile + 0.6 * moment.gaze_y * -0.5
    )
    tilt = (0.9 + 0.9 * build.eye_tilt - 0.8 * old) * t
    upper = -opened * arch * (1 - 0.1 * t) - tilt
    lower = (3.3 - 0.5 * moment.smile) * arch * (0.9 + 0.2 * t) - tilt
    # Lid: the crease, and eye shadow between it and the lashes.
    crease = upper - 3.0 + 0.8 * old
    ends = cover(_HALF_WIDTH + 2.5 - np.abs(p), 4)
    lid = unit((q - crease + 1.5) / 3) * unit((upper - q + 1) / 1.5) * ends
    if not male and appearance.eye_shadow:
        paint(
            canvas, np.array(appearance.shadow_colour, np.float32), lid * (0.6 * appearance.eye_shadow), where
        )
    shadow(canvas, 0.42 * bell((q - crease) / 1.1) * ends, where)
    ball = cover(q - upper) * cover(lower - q) * cover(_HALF_WIDTH - np.abs(p))
    paint(canvas, _eyeball(face, np.copysign(p, p * u), q, upper, t, lit), ball, where)
    # Lashes: a dark line that thickens outwards; the lower lid catches a little light.
    thick = (0.75 if male else 1.05 + 0.5 * appearance.eye_shadow) * (0.85 + 0.3 * np.clip(t, -1, 1))
    lashes = bell((q - upper + 0.35) / thick) * cover(_HALF_WIDTH + 1.2 - np.abs(p), 2)
    paint(canvas, (26.0, 18.0, 16.0), lashes * (0.75 if male else 0.9), where)
    under = 0.2 if male else 0.28 + 0.3 * appearance.eye_shadow
    paint(
        canvas, (48.0, 30.0, 26.0), bell((q - lower) / 0.7) * cover(_HALF_WIDTH - np.abs(p), 3) * under, where
    )


def _eyeball(face: Face, x: Array, q: Array, upper: Array, t: Array, lit: Array) -> Array:
    """(3, h, w): sclera, iris, pupil and highlight; x grows to the picture's right."""
    moment = face.moment
    light = (0.5 + 0.5 * lit) * (1 - 0.3 * t * t) * (0.5 + 0.5 * unit((q - upper) / 3.4))
    colour = plane((236.0, 228.0, 222.0)) * light
    dx, dy = x - moment.gaze_x, q + 0.6 - moment.gaze_y
    distance = np.sqrt(dx * dx + dy * dy)
    iris = plane(face.appearance.iris) * (
        (0.35 + 0.65 * unit((5.8 - distance) / 1.6))
        * (1 + 0.5 * np.clip(dy / 5, -0.5, 1))
        * (0.4 + 0.6 * light)
    )
    colour += cover(5.7 - distance) * (iris - colour)
    colour += cover(2.5 - distance) * (plane((10.0, 8.0, 8.0)) - colour)
    spot_x, spot_y = dx - math.copysign(1.8, moment.light_x), dy + 2.0
    spot = cover(1.35 - np.sqrt(spot_x * spot_x + spot_y * spot_y), 1.4)
    return colour + spot * (248.0 - colour)


def paint_brows(face: Face, canvas: Canvas, hair: Array) -> None:
    """Paint both eyebrows in a colour near the hair's (3,)."""
    build, traits = face.build, face.traits
    where = window(-EYE_U - 18, 87, EYE_U + 18, 106)
    u = canvas.u[where]
    p, q = np.abs(u) - np.float32(EYE_U), canvas.v[where] - EYE_V
    male, bushy = float(traits.male), float(traits.bushy_brows)
    t = unit((p + 12) / 28)
    height = 12.4 + 1.2 * build.brow_height - 1.6 * male - 0.4 * bushy
    arch = 2.6 + 1.6 * build.brow_arch - 1.4 * male
    line = -height - arch * np.sin(np.pi * np.minimum(t * 0.92, 1)) + 2.6 * t * t
    thick = (1.3 + 0.35 * male + 2.4 * bushy) * (1.05 - 0.62 * t) * np.clip((p + 14.5) / 6, 0.3, 1)
    # Hairs lean outwards: strands along a slanted direction.
    strands = sample("strand", (p * 0.9 + q * (0.9 + 0.6 * t)) * 12 + face.appearance.grain, (u + 60) * 3)
    ragged = 0.5 + 0.9 * bushy
    alpha = unit((thick - np.abs(q - line) + strands * 0.45 * ragged) / (1.3 + 0.3 * bushy) + 0.3)
    alpha *= cover(p + 12, 3) * cover(16.5 - p, 2)
    density = 0.72 + 0.06 * male + 0.22 * bushy
    colour = plane(hair) * (0.6 + 0.1 * strands) + plane((6.0, 3.0, 2.0))
    paint(canvas, np.minimum(colour, 235), alpha * density, where)
