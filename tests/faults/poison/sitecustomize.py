"""With this folder on PYTHONPATH a Python that decodes images dies of some of them, as of a defect of its decoder.

An image that holds ``poison:HOW`` somewhere, in a comment say, is one of them: ``crash``, ``exit``, ``loop`` or
``hang`` (both for ever), or ``hoard`` (memory, until there is none). Python imports this module when it starts.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import signal
import sys
import time

MODULE = "attgan.data.codec"
POISON = re.compile(rb"poison:(\w+)")


def take(how):
    if how == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == b"exit":
        os._exit(3)
    if how == b"hoard":
        import numpy

        held = []
        while True:
            # Never touched: the machine is to feel nothing of it.
            held.append(numpy.zeros(2**25))
    while how == b"hang":
        time.sleep(1)
    while how == b"loop":
        pass


class FaceDetector(importlib.abc.MetaPathFinder):
    """Lets the codec be imported as ever, then puts a taster before its decoder."""

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def load_and_poison(module):
            load(module)
            decode = module.decode

            def decode_or_die(data, *args, **kwargs):
                if found := POISON.search(data):
                    take(found[1])
                return decode(data, *args, **kwargs)

            module.decode = decode_or_die

        spec.loader.exec_module = load_and_poison
        return spec


sys.meta_path.insert(0, FaceDetector())
