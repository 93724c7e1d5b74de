"""What the records of a run say about its edits. They are read without torch."""

# 7: the edit changes pixels inside its mask only.
EDIT_FORMAT = 7
"""Raised whenever the same input and settings would give other pixels. It is part of every run's fingerprint.

A run of another value is not resumed. What a finished run has edited stays done all the same.
"""

NO_FACE = "no face found"
"""The reason of a photograph in which no face was found."""
