"""Face detection: the interface of face detectors, and the one of this package.

To add a detector, add a file with a class that has :class:`FaceDetector`'s method.

Why MTCNN: measured on 257 photographs of half a megapixel, in each of which the place of one face is known. Errors of
landmarks are in the pixels of CelebA's 178×218 images. The next two columns give the movement of landmarks when the
photograph is shifted by some pixels or mirrored, in shares of the distance between the eyes:

==============================  ======  =======  ==============  ==============  =========  =====  ===========
detector                        found   false    landmarks off   moved by shift  by mirror  ms     installs
==============================  ======  =======  ==============  ==============  =========  =====  ===========
this one                        257     7 (0)    1.2 px          0.5 %           0.4 %      35     2 MB
MTCNN as published              257     7 (0)    1.3 px          2.7 %           3.5 %      29     2 MB
BlazeFace, full range           257     0        3.2 px          2.5 %           5.5 %      7      67 MB
BlazeFace, short range          252     3        3.7 px          3.1 %           7.8 %      4      67 MB
==============================  ======  =======  ==============  ==============  =========  =====  ===========

In brackets: false faces with a confidence of 0.9 or more, which all the 257 have. Milliseconds were measured on one
busy core, for photographs with one or two faces. MTCNN as published does not locate landmarks again
(``relocations=0``). BlazeFace has no corners of the mouth, and its models need a runtime. OpenCV's YuNet was not
measured: no package on PyPI was found that contains its weights, and OpenCV alone installs 150 MB.
"""

from attgan.detection.face import LANDMARKS, MIRRORED, Face, FaceDetector
from attgan.detection.mtcnn import Mtcnn, make_mtcnn

__all__ = ["LANDMARKS", "MIRRORED", "Face", "FaceDetector", "Mtcnn", "make_mtcnn"]
