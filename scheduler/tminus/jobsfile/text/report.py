"""The report on a jobs file: each problem at its place, and the same fault of a template once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from tminus.errors import shorten
from tminus.jobsfile.text.document import Document, Excerpt, Spot
from tminus.jobsfile.text.faults import Fault, to_dotted
from tminus.jobsfile.text.masking import is_secret_key, mask_part
from tminus.jobsfile.text.merge import Layer, find_origin
from tminus.jobsfile.text.problems import Problem, Severity
from tminus.jobsfile.text.tree import Path
from tminus.templates import has_parts


class Report:
    """The problems found so far. Not thread-safe."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._users: dict[Problem, set[str]] = defaultdict(set)

    def copy(self) -> Self:
        """Return a copy that collects problems by itself."""
        other = type(self)()
        other._files |= self._files
        other._users |= {problem: set(users) for problem, users in self._users.items()}
        return other

    def file(self, document: Document) -> None:
        """Add a file, with its YAML errors. Problems are shown in the order of the files."""
        self._files.setdefault(document.path, len(self._files))
        for problem in document.problems:
            self.add(problem)

    def add(self, problem: Problem, *, user: str | None = None) -> None:
        """
        Add a problem. The same problem is shown once.

        Args:
            problem: The problem.
            user: A job that has it from a template or from the defaults.
        """
        users = self._users[problem]
        if user is not None:
            users.add(user)

    def fault(self, layers: Sequence[Layer], fault: Fault, *, user: str | None = None) -> None:
        """
        Add a fault of a merged map, at the place from which the value comes.

        Args:
            layers: The layers of the map, nearest first.
            fault: The fault; its path is that of the merged map.
            user: The job, if the map is one.
        """
        layer = find_origin(layers, fault.path) or layers[0]
        path = (*layer.base, *fault.path)
        spot = layer.document.spot(path, on_key=fault.on_key, offset=fault.offset, length=fault.length)
        excerpt = layer.document.excerpt(spot.line, spot.column)
        problem = Problem(
            path=layer.document.path,
            line=spot.line,
            column=spot.column,
            length=spot.length,
            message=_sentence(path, spot, fault),
            hint=fault.hint,
            severity=fault.severity,
            source=_source(excerpt, path, spot, fault),
            source_column=excerpt.column,
            is_cut=excerpt.is_cut,
        )
        self.add(problem, user=user if layer.name else None)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The errors by file, line and column."""
        return self._sorted(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings by file, line and column."""
        return self._sorted(Severity.WARNING)

    def _sorted(self, severity: Severity) -> tuple[Problem, ...]:
        found = [
            _with_users(problem, users)
            for problem, users in self._users.items()
            if problem.severity is severity
        ]
        return tuple(
            sorted(
                found, key=lambda item: (self._files.get(item.path, -1), item.line, item.column, item.message)
            )
        )


def _with_users(problem: Problem, users: set[str]) -> Problem:
    if not users:
        return problem
    jobs = f"{len(users)} jobs" if len(users) > 1 else "1 job"
    return replace(problem, message=f"{problem.message} (used by {jobs})")


def _sentence(path: Path, spot: Spot, fault: Fault) -> str:
    is_there = spot.taken[-1:] == path[-1:]
    subject = to_dotted(spot.taken[:-1] if fault.of_owner and is_there else spot.taken)
    got = f"; got {_shown(path, spot)}" if fault.shows_value else ""
    return f"{subject}{fault.joint if subject else ''}{fault.message}{got}"


def _shown(path: Path, spot: Spot) -> str:
    if spot.node is None or spot.node.kind != "scalar":
        return f"a {spot.node.kind}" if spot.node else "nothing"
    if _is_secret(path, spot):
        return "***"
    shown = shorten(spot.node.text)
    return f'"{shown}"' if spot.node.is_quoted else shown or "nothing"


def _source(excerpt: Excerpt, path: Path, spot: Spot, fault: Fault) -> str:
    if fault.on_key or not _is_secret(path, spot):
        return excerpt.text
    return mask_part(excerpt.text, spot.column - excerpt.column + 1, spot.length)


def _is_secret(path: Path, spot: Spot) -> bool:
    keys = path[2:]  # a job may be called token_refresh
    text = spot.node.text if spot.node else ""
    return any(isinstance(step, str) and is_secret_key(step) for step in keys) and not has_parts(text)
