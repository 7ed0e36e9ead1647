"""Memory as PSS, which divides shared pages: the sum of a process and its descendants."""

import re
from pathlib import Path

_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


def pss_mb(pid: int) -> float:
    """
    Return megabytes (10^6 bytes) of a process and its descendants. A process that ends meanwhile counts 0.
    """
    return sum(_of_one(each) for each in family(pid)) * 1024 / 1e6


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


def _of_one(pid: int) -> int:
    try:
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    except OSError:
        return 0
    return int(found[1]) if found else 0
