"""
The system calls at which a daemon can be killed, those that a seed selects, and those at which one was killed
in all runs so far.

The calls of a thread are numbered from 1, per phase and name. A cell has the numbers up to a power of two:
`start write 5` is the fifth to the eighth `write` of a thread while the daemon starts.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

#: While the daemon starts, and once it is ready.
START, READY = "start", "ready"
#: A line of `strace -f -o`: the thread, and the call that it begins.
_CALL = re.compile(r"(\d+) +(\w+)\(")
#: After this call a child is a program of its own, which is not traced.
_PROGRAM = "execve"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """The call before which a daemon is killed: the first thread that makes it so often in a phase."""

    phase: str
    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.phase} {self.call} {self.number}"

    @property
    def cell(self) -> str:
        """The cell of the coverage."""
        return f"{self.phase} {self.call} {_first_of(self.number)}"


def count_calls(lines: Iterable[str]) -> dict[str, int]:
    """
    Return how often each system call was made by the thread that made it most often.

    Args:
        lines: The output of `strace -f -b execve -o` for a daemon that runs already. Its children are not
            counted.
    """
    made: Counter[tuple[str, str]] = Counter()
    children: set[str] = set()
    for line in lines:
        if found := _CALL.match(line):
            thread, call = found.groups()
            made[thread, call] += 1
            if call == _PROGRAM:
                children.add(thread)
    most: dict[str, int] = {}
    for (thread, call), times in made.items():
        if thread not in children:
            most[call] = max(most.get(call, 0), times)
    return most


@dataclass(slots=True)
class Coverage:
    """
    The coverage on one database.

    Attributes:
        most: How often a thread makes each call, at most; by phase and name, `start write`.
        reached: Cells in which a daemon was killed.
    """

    most: dict[str, int] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)

    def add_counts(self, phase: str, most: Mapping[str, int]) -> None:
        """Add the calls of a further daemon in a phase."""
        for call, times in most.items():
            name = f"{phase} {call}"
            self.most[name] = max(self.most.get(name, 0), times)

    def cells(self) -> dict[str, range]:
        """Return the numbers of each cell that threads come to."""
        found: dict[str, range] = {}
        for name, times in sorted(self.most.items()):
            first = 1
            while first <= times:
                last = _last_of(first)
                found[f"{name} {first}"] = range(first, min(last, times) + 1)
                first = last + 1
        return found

    def draw(self, kills: int, random: Random) -> list[Target]:
        """Return this many targets, each in another cell if possible. Cells not reached come first."""
        cells = self.cells()
        names = list(cells)
        random.shuffle(names)
        names.sort(key=self.reached.__contains__)
        drawn = (names[index % len(names)] for index in range(kills if names else 0))
        return [
            Target(phase, call, random.choice(cells[f"{phase} {call} {first}"]))
            for phase, call, first in map(str.split, drawn)
        ]

    def __str__(self) -> str:
        cells = self.cells()
        return f"{len(self.reached & cells.keys())} of {len(cells)}"


def read(file: Path) -> dict[str, Coverage]:
    """Return the coverage on each database so far; an empty one if there is no file."""
    if not file.exists():
        return {}
    return {
        database: Coverage(each["most"], set(each["reached"]))
        for database, each in json.loads(file.read_text()).items()
    }


def write(file: Path, coverage: Mapping[str, Coverage]) -> None:
    """Replace the file."""
    whole = {
        database: {"most": each.most, "reached": sorted(each.reached)} for database, each in coverage.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole, indent=1) + "\n")


def _first_of(number: int) -> int:
    """Return the first number of the same cell: 1, 2, 3, 5, 9, 17 and so on."""
    return 1 if number == 1 else (1 << (number - 1).bit_length() - 1) + 1


def _last_of(first: int) -> int:
    return 1 if first == 1 else 2 * (first - 1)
