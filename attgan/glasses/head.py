"""The pose of a head, from its five landmarks, and the projection of its points into the picture.

Head coordinates: x to the right of the picture, y down, z out of the face; the origin is between the eyes, and the
distance between the eyes is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]
Points = NDArray[np.float64]

# The mean face: CelebA's mean landmarks with the depth of a mean head, so that the median portrait looks ahead.
MEAN_LANDMARKS = np.array(
    [[-0.5, 0, 0], [0.5, 0, 0], [0, 0.570, 0.42], [-0.449, 1.030, 0.12], [0.449, 1.030, 0.12]], np.float64
)
# The camera's distance from the eyes: about 1 m.
CAMERA = 16.0
# A distance from the eyes at which there are no glasses.
FAR = 8.0
# The largest yaw and pitch that a fit may find.
LIMIT = np.radians([62.0, 35.0])
# Standard deviations: of landmarks from those of a turned mean face, and of yaw and pitch.
LANDMARK_DEVIATION, TURN_DEVIATION = 0.06, np.radians([50.0, 9.0])

# The head on which shadows fall: middle and half axes of an ellipsoid.
ELLIPSOID_MIDDLE, ELLIPSOID = np.array([0.0, 0.35, -1.2]), np.array([1.15, 1.85, 1.35])
# The head that hides the far temple: middle and half axes of a superellipsoid, and its width relative to the ears'.
MIDDLE, HALF, WITHIN_EARS = np.array([0.0, 0.1, -1.25]), np.array([1.0, 1.75, 1.40]), 0.93


@dataclass(frozen=True)
class Pose:
    """Where a head is and how it is turned.

    Attributes:
        rotation: ``(3, 3)``, from the head's to the camera's axes, without roll.
        yaw: radians, positive where the nose points to the right of the picture.
        pitch: radians, positive where it points up.
        scale: complex: pixels per unit, turned by the roll.
        shift: complex: where the origin is, in pixels.
    """

    rotation: Points
    yaw: float
    pitch: float
    scale: complex
    shift: complex

    @property
    def unit(self) -> float:
        """Pixels between the eyes, if the face looked into the camera."""
        return abs(self.scale)

    def project(self, points: ArrayLike) -> Points:
        """Points ``(..., 3)`` of the head as pixels ``(..., 2)``."""
        pixels = _projected(self.rotation, np.asarray(points, np.float64)) * self.scale + self.shift
        return np.stack([pixels.real, pixels.imag], -1)

    def on_front(self, x: Array, y: Array, vertex: float, bow: float, tilt: float) -> tuple[Array, Array]:
        """The points of a front z = vertex - bow · x² - tan(tilt) · y that pixels show: x and y in head coordinates."""
        turn = np.conj(self.scale) / abs(self.scale) ** 2
        ahead, down = x - np.float32(self.shift.real), y - np.float32(self.shift.imag)
        right = ahead * np.float32(turn.real) - down * np.float32(turn.imag)
        below = ahead * np.float32(turn.imag) + down * np.float32(turn.real)
        back = self.rotation.T.astype(np.float32)
        # The line of sight: start + depth · direction. A few Newton steps find where it meets the front.
        start = [back[row, 0] * right + back[row, 1] * below for row in range(3)]
        direction = [back[row, 2] - start[row] / np.float32(CAMERA) for row in range(3)]
        slope = np.float32(np.tan(tilt))
        depth = np.full_like(x, vertex)
        for _ in range(3):
            u, v, z = (start[row] + depth * direction[row] for row in range(3))
            miss = z - (np.float32(vertex) - np.float32(bow) * u * u - slope * v)
            depth -= miss / np.maximum(
                direction[2] + 2 * np.float32(bow) * u * direction[0] + slope * direction[1], 0.2
            )
        # Lines of sight along the front do not meet it: their depth has no limit.
        u, v = (np.clip(start[row] + depth * direction[row], -FAR, FAR) for row in (0, 1))
        return u, v

    def hidden(self, points: Points, ear: float) -> NDArray[np.float64]:
        """``(n,)``: 1 if the head hides a point ``(n, 3)`` from the camera, else 0; ``ear``: distance of its ears."""
        eye = self.rotation.T @ np.array([0, 0, CAMERA])
        direction = eye - points
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        steps = np.linspace(0.12, 3.0, 24)
        along = points[:, None] + steps[None, :, None] * direction[:, None]
        half = HALF * [WITHIN_EARS * ear, 1, 1]
        level = (np.abs((along - MIDDLE) / half) ** 2.5).sum(-1)
        return (level < 1).any(1).astype(np.float64)

    def intersect_head(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Where lines of sight meet the head, an ellipsoid.

        Args:
            x: ``(...)``, pixels.
            y: likewise.

        Returns:
            ``(...)``, positive where they meet it; and ``(..., 3)``, the surface's normal there, in the camera's axes.
        """
        seen = (x + 1j * y - self.shift) / self.scale
        flat = np.stack([seen.real, seen.imag, np.zeros_like(seen.real)], -1)
        start, way = (flat @ self.rotation - ELLIPSOID_MIDDLE) / ELLIPSOID, self.rotation[2] / ELLIPSOID
        # With the ellipsoid scaled to a unit sphere, start + depth · way meets it by a quadratic equation.
        half, square = start @ way, float(way @ way)
        root = half * half - square * ((start * start).sum(-1) - 1)
        depth = (-half + np.sqrt(np.maximum(root, 0))) / square
        normal = ((start + depth[..., None] * way) / ELLIPSOID) @ self.rotation.T
        return root, normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)

    def past_nose(self, x: Array, y: Array, z: Array) -> Array:
        """How far, in units, points of the front are visible past the ridge of the nose; negative behind it."""
        right, down, ahead = (np.float32(part) for part in self.rotation[2])
        if abs(right) < 0.2:
            return np.ones_like(x)
        # Where the line of sight meets the head's plane of symmetry.
        far = -x / right
        across, height = z + far * ahead, y + far * down
        ridge = np.float32(0.13) + np.float32(0.50) * np.clip(height, -0.05, 0.56)
        ridge = np.where(height > 0.66, np.float32(0), ridge)
        return np.where(far > 0, (across - ridge) * abs(right), np.float32(1))


def _rotation(yaw: float, pitch: float) -> Points:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return about_x @ about_y


def _projected(rotation: Points, points: Points) -> NDArray[np.complex128]:
    """Points ``(..., 3)`` of the head on the picture's plane, as complex numbers ``(...)``, without roll and scale."""
    x, y, z = np.moveaxis(points @ rotation.T, -1, 0)
    plane: NDArray[np.complex128] = np.empty(x.shape, np.complex128)
    plane.real, plane.imag = x, y
    plane *= CAMERA / (CAMERA - z)
    return plane


def turned_landmarks(
    yaw: float, pitch: float, roll: float, unit: float, middle: tuple[float, float]
) -> Points:
    """The landmarks ``(5, 2)`` of a mean face in this pose.

    Args:
        yaw: radians, positive to the right of the picture.
        pitch: radians, positive upwards.
        roll: radians, positive clockwise.
        unit: pixels between the eyes, if the face looked into the camera.
        middle: the point between the eyes.
    """
    pose = Pose(_rotation(yaw, pitch), yaw, pitch, unit * np.exp(1j * roll), complex(*middle))
    return pose.project(MEAN_LANDMARKS)


def find_pose(landmarks: ArrayLike) -> Pose:
    """The pose in which a mean face, with its eyes on the given ones, is nearest to the nose and mouth.

    Args:
        landmarks: ``(5, 2)``, left eye, right eye, nose, corners of the mouth, continuous pixels.

    Raises:
        ValueError: the eyes are one point, or a coordinate is not finite.
    """
    pairs = np.asarray(landmarks, np.float64)
    target = pairs[:, 0] + 1j * pairs[:, 1]
    if not (np.isfinite(target).all() and abs(target[1] - target[0]) > 1e-3):
        raise ValueError("the landmarks of a face must be finite, and its eyes two points")

    def residuals(turn: Points) -> tuple[complex, complex, Points]:
        mean = _projected(_rotation(*turn), MEAN_LANDMARKS)
        scale = (target[1] - target[0]) / (mean[1] - mean[0])
        shift = target[0] - scale * mean[0]
        # In units of the face, so that its size does not matter.
        miss = ((target - shift) / scale - mean)[2:]
        return (
            scale,
            shift,
            np.concatenate(
                [miss.real / LANDMARK_DEVIATION, miss.imag / LANDMARK_DEVIATION, turn / TURN_DEVIATION]
            ),
        )

    turn = np.zeros(2)
    for _ in range(12):
        error = residuals(turn)[2]
        steps = 1e-4 * np.eye(2)
        slope = np.stack([(residuals(turn + step)[2] - error) / 1e-4 for step in steps], 1)
        change = np.linalg.lstsq(slope, -error, rcond=None)[0]
        turn = np.clip(turn + np.clip(change, -0.3, 0.3), -LIMIT, LIMIT)
    scale, shift, _ = residuals(turn)
    return Pose(_rotation(*turn), float(turn[0]), float(turn[1]), complex(scale), complex(shift))
