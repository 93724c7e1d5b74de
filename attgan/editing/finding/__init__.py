"""Finding faces: what a face is, and the finder that this package brings.

Another finder is one more file with a class that has :class:`Finder`'s method.
"""

from attgan.editing.finding.face import LANDMARKS, MIRRORED, Face, Finder
from attgan.editing.finding.mtcnn import Mtcnn, make_mtcnn

__all__ = ["LANDMARKS", "MIRRORED", "Face", "Finder", "Mtcnn", "make_mtcnn"]
