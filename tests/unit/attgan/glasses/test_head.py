"""The pose of a head is recovered from its landmarks."""

import numpy as np
import pytest

from attgan.glasses.head import find_pose, turned_landmarks


def landmarks(yaw=0.0, pitch=0.0, roll=0.0, unit=36.0, middle=(64.0, 58.0)):
    return turned_landmarks(*np.radians([yaw, pitch, roll]), unit, middle)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (30, 0, 0), (-40, 10, 20), (15, -12, -30)])
def test_pose_of_turned_landmarks_is_recovered(yaw, pitch, roll):
    pose = find_pose(landmarks(yaw, pitch, roll))
    # Noses differ in length, so the pitch is only recovered in part.
    assert np.degrees([pose.yaw, pose.pitch]) == pytest.approx([yaw, pitch], abs=5)
    assert np.degrees(np.angle(pose.scale)) == pytest.approx(roll, abs=4)
    assert pose.unit == pytest.approx(36, rel=0.06)
