import platform
import subprocess
import sys

import pytest

# What a step does, in small: a block above 32 MB taken, filled and given back. Prints how much of it is then held.
SCRIPT = """
import ctypes
from pathlib import Path
from attgan.training.device import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
SIZE = 64 << 20

def held():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * 1024

def step():
    before = held()
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(SIZE)))
    libc.memset(block, 1, ctypes.c_size_t(SIZE))
    libc.free(block)
    return (held() - before) / SIZE

print(step())
assert keep_freed_memory()
print(step())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not the GNU C library")
def test_freed_memory_stays_in_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True)
    as_it_is, kept = map(float, ended.stdout.split())
    assert as_it_is < 0.5 < kept
