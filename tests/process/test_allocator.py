"""The memory of a process with many short threads."""

import subprocess
import sys
from pathlib import Path

import pytest

_CODE = """
import ctypes, sys, threading
from tminus.daemon.allocator import limit_arenas

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
if sys.argv[1] == "limited":
    limit_arenas()
barrier = threading.Barrier(8)

def take() -> None:
    libc.malloc(100_000)
    barrier.wait()  # all threads exist at once

threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has arenas")
def test_the_threads_of_a_daemon_share_two_arenas(tmp_path: Path) -> None:
    arenas = {}
    for how in ("limited", "free"):
        subprocess.run([sys.executable, "-c", _CODE, how, str(tmp_path / how)], check=True, timeout=240)
        arenas[how] = (tmp_path / how).read_text().count("<heap ")
    assert arenas["limited"] <= 2 < arenas["free"]
