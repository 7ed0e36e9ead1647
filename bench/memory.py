"""Memory as PSS, which divides shared pages: the sum of a process and its descendants."""

import re
from pathlib import Path

_ALL = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)
#: Other programs of the machine share pages of files, such as those of Python, but no others.
_WITHOUT_FILES = re.compile(rb"^Pss_(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)


def pss_mb(pid: int, *, with_files: bool = True) -> float:
    """
    Return megabytes (10^6 bytes) of a process and its descendants. A process that ends meanwhile counts 0.

    Args:
        with_files: Whether pages of files count. Without them, no other program has an influence.
    """
    fields = _ALL if with_files else _WITHOUT_FILES
    return sum(_of_one(each, fields) for each in family(pid)) * 1024 / 1e6


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def _of_one(pid: int, fields: re.Pattern[bytes]) -> int:
    try:
        return sum(map(int, fields.findall(Path(f"/proc/{pid}/smaps_rollup").read_bytes())))
    except OSError:
        return 0
