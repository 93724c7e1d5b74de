"""How a head is turned, by its five landmarks, and where points of it are in the picture.

Coordinates of the head: x to the right of the picture, y down, z out of the face; the origin is between the eyes, and
the distance between the eyes is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]
Points = NDArray[np.float64]

# The mean face: CelebA's mean landmarks and the depth of a mean head, so that the median portrait looks ahead.
FACE = np.array(
    [[-0.5, 0, 0], [0.5, 0, 0], [0, 0.570, 0.42], [-0.449, 1.030, 0.12], [0.449, 1.030, 0.12]], np.float64
)
CAMERA = 16.0  # from the eyes, 1 m
FAR = 8.0  # from the eyes; nothing of glasses is there
LIMIT = np.radians([62.0, 35.0])  # yaw and pitch that are believed
# How far landmarks of faces stray from a turned mean face, and how far heads are turned.
STRAY, TURNED = 0.06, np.radians([50.0, 9.0])

# A head on which shadows fall: an ellipsoid.
OVAL_MIDDLE, OVAL = np.array([0.0, 0.35, -1.2]), np.array([1.15, 1.85, 1.35])
# The head that hides the far temple: a superellipsoid, a little narrower than the ears are apart.
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
        """Pixels of the eyes' distance, if the face looked into the camera."""
        return abs(self.scale)

    def project(self, points: ArrayLike) -> Points:
        """``(..., 3)`` of the head to ``(..., 2)`` pixels."""
        flat = _seen(self.rotation, np.asarray(points, np.float64))
        there = flat * self.scale + self.shift
        return np.stack([there.real, there.imag], -1)

    def on_front(self, x: Array, y: Array, vertex: float, bow: float, tilt: float) -> tuple[Array, Array]:
        """Which points of a front z = vertex - bow · x² - tan(tilt) · y pixels show: their x and y of the head."""
        turn = np.conj(self.scale) / abs(self.scale) ** 2
        ahead, down = x - np.float32(self.shift.real), y - np.float32(self.shift.imag)
        right = ahead * np.float32(turn.real) - down * np.float32(turn.imag)
        below = ahead * np.float32(turn.imag) + down * np.float32(turn.real)
        back = self.rotation.T.astype(np.float32)
        # A point at depth d before the camera's plane: start + d · way.
        start = [back[row, 0] * right + back[row, 1] * below for row in range(3)]
        way = [back[row, 2] - start[row] / np.float32(CAMERA) for row in range(3)]
        slope = np.float32(np.tan(tilt))
        depth = np.full_like(x, vertex)
        for _ in range(3):
            u, v, z = (start[row] + depth * way[row] for row in range(3))
            miss = z - (np.float32(vertex) - np.float32(bow) * u * u - slope * v)
            depth -= miss / np.maximum(way[2] + 2 * np.float32(bow) * u * way[0] + slope * way[1], 0.2)
        # Lines of sight along the front meet it nowhere.
        return np.clip(start[0] + depth * way[0], -FAR, FAR), np.clip(start[1] + depth * way[1], -FAR, FAR)

    def hidden(self, points: Points, ear: float) -> NDArray[np.float64]:
        """``(n,)``: 1 where a head with ears so far out stands between a point ``(n, 3)`` and the camera, else 0."""
        eye = self.rotation.T @ np.array([0, 0, CAMERA])
        direction = eye - points
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        steps = np.linspace(0.12, 3.0, 24)
        along = points[:, None] + steps[None, :, None] * direction[:, None]
        half = HALF * [WITHIN_EARS * ear, 1, 1]
        level = (np.abs((along - MIDDLE) / half) ** 2.5).sum(-1)
        return (level < 1).any(1).astype(np.float64)

    def meet_head(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Where lines of sight meet a plain ellipsoid of a head.

        Args:
            x: ``(...)``, pixels.
            y: likewise.

        Returns:
            ``(...)``: positive where they do; and ``(..., 3)``, the surface there, a normal in the camera's axes.
        """
        seen = (x + 1j * y - self.shift) / self.scale
        flat = np.stack([seen.real, seen.imag, np.zeros_like(seen.real)], -1)
        start, way = (flat @ self.rotation - OVAL_MIDDLE) / OVAL, self.rotation[2] / OVAL
        # Start + depth · way on the unit sphere: a quadratic equation.
        half, square = start @ way, float(way @ way)
        root = half * half - square * ((start * start).sum(-1) - 1)
        depth = (-half + np.sqrt(np.maximum(root, 0))) / square
        normal = ((start + depth[..., None] * way) / OVAL) @ self.rotation.T
        return root, normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)

    def before_nose(self, x: Array, y: Array, z: Array) -> Array:
        """How far, in units, points of the front are in sight past the ridge of the nose; negative behind it."""
        right, down, ahead = (np.float32(part) for part in self.rotation[2])
        if abs(right) < 0.2:
            return np.ones_like(x)
        # Where the line of sight meets the plane that halves the head.
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


def _seen(rotation: Points, points: Points) -> NDArray[np.complex128]:
    x, y, z = np.moveaxis(points @ rotation.T, -1, 0)
    seen: NDArray[np.complex128] = np.empty(x.shape, np.complex128)
    seen.real, seen.imag = x, y
    seen *= CAMERA / (CAMERA - z)
    return seen


def turned_landmarks(
    yaw: float, pitch: float, roll: float, unit: float, middle: tuple[float, float]
) -> Points:
    """``(5, 2)``: where the landmarks of a mean face are.

    Args:
        yaw: radians, positive to the right of the picture.
        pitch: radians, positive upwards.
        roll: radians, positive clockwise.
        unit: distance between the eyes of the face that is not turned, in pixels.
        middle: where the point between the eyes is.
    """
    pose = Pose(_rotation(yaw, pitch), yaw, pitch, unit * np.exp(1j * roll), complex(*middle))
    return pose.project(FACE)


def find_pose(landmarks: ArrayLike) -> Pose:
    """The turn under which a mean face, its eyes on the given ones, comes nearest to nose and mouth.

    Args:
        landmarks: ``(5, 2)``, left eye, right eye, nose, corners of the mouth, continuous pixels.

    Raises:
        ValueError: the eyes are one point, or a coordinate is no finite number.
    """
    pairs = np.asarray(landmarks, np.float64)
    there = pairs[:, 0] + 1j * pairs[:, 1]
    if not (np.isfinite(there).all() and abs(there[1] - there[0]) > 1e-3):
        raise ValueError("landmarks of a face are finite, and its eyes are apart")

    def fitted(turn: Points) -> tuple[complex, complex, Points]:
        seen = _seen(_rotation(*turn), FACE)
        scale = (there[1] - there[0]) / (seen[1] - seen[0])
        shift = there[0] - scale * seen[0]
        # In units of the face, so that a small one counts like a large one.
        miss = ((there - shift) / scale - seen)[2:]
        return scale, shift, np.concatenate([miss.real / STRAY, miss.imag / STRAY, turn / TURNED])

    turn = np.zeros(2)
    for _ in range(12):
        error = fitted(turn)[2]
        steps = 1e-4 * np.eye(2)
        slope = np.stack([(fitted(turn + step)[2] - error) / 1e-4 for step in steps], 1)
        change = np.linalg.lstsq(slope, -error, rcond=None)[0]
        turn = np.clip(turn + np.clip(change, -0.3, 0.3), -LIMIT, LIMIT)
    scale, shift, _ = fitted(turn)
    return Pose(_rotation(*turn), float(turn[0]), float(turn[1]), complex(scale), complex(shift))
