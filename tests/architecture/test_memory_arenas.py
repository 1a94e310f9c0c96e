"""How much memory threads keep from each other."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, threading
from reconciler.adapters.memory_arenas import share_one_arena
if {shared}: share_one_arena()
barrier = threading.Barrier(4)
def work(): bytearray(50_000); barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out); libc.fflush(out)
"""


def arenas(*, shared: bool) -> int:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(shared=shared)], check=True, capture_output=True
    )
    return told.stdout.count(b"<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="not glibc")
def test_threads_share_one_arena() -> None:
    assert arenas(shared=False) > 1
    assert arenas(shared=True) == 1
