"""The jobs file and its includes. Each is in the folder of the jobs file, and is read once."""

import glob
import os

from tminus.errors import quoted, shorten_path
from tminus.jobsfile.text.document import Document
from tminus.jobsfile.text.faults import Fault
from tminus.jobsfile.text.merge import Layer
from tminus.jobsfile.text.problems import Problem
from tminus.jobsfile.text.report import Report
from tminus.jobsfile.text.tree import Path
from tminus.secrets.files import CannotRead, read_file

_LARGEST_FILE = 16 << 20
_DEEPEST = 10


class Sources:
    """
    All files of one config version: the jobs file, then its includes.

    Args:
        path: The jobs file.
        report: Collects what cannot be read.

    Attributes:
        documents: The files.
        patterns: Patterns of `glob` that match all files, also those that are missing now.
    """

    def __init__(self, path: str, report: Report) -> None:
        self.documents: list[Document] = []
        self.patterns = [glob.escape(path)]
        self._report = report
        self._folder = os.path.realpath(os.path.dirname(path) or ".")
        self._read: set[str] = set()
        try:
            self._open(path, ())
        except CannotRead as error:
            report.add(
                Problem(
                    path=path,
                    message=f"cannot read {shorten_path(path)}: {error}",
                    hint="name the jobs file with -c FILE",
                )
            )

    def _open(self, path: str, trail: tuple[str, ...]) -> None:
        document = Document(path, read_file(path, limit=_LARGEST_FILE).data)
        self._read.add(os.path.realpath(path))
        self.documents.append(document)
        self._report.file(document)
        patterns = document.value.get("include") if isinstance(document.value, dict) else None
        for index, pattern in enumerate(patterns if isinstance(patterns, list) else []):
            if isinstance(pattern, str):
                self._include(document, ("include", index), pattern, (*trail, path))

    def _include(self, document: Document, at: Path, pattern: str, trail: tuple[str, ...]) -> None:
        for path in self._matches(document, at, pattern):
            real = os.path.realpath(path)
            around = [os.path.realpath(file) for file in trail]
            if real in around:
                loop = (*trail[around.index(real) :], path)
                chain = " → ".join(map(os.path.basename, loop))
                self._fault(
                    document,
                    at,
                    f"include loop: {chain}",
                    "a file must not include itself, directly or through others",
                )
            elif len(trail) > _DEEPEST:
                self._fault(
                    document,
                    at,
                    f"includes too deep ({_DEEPEST})",
                    "include the files from the jobs file itself",
                )
            elif not self._is_within(real):
                self._fault(document, at, _outside(path), f"it must be below {self._folder}")
            elif real not in self._read:
                try:
                    self._open(path, trail)
                except CannotRead as error:
                    self._fault(
                        document,
                        at,
                        f"cannot read {shorten_path(path)}: {error}",
                        "paths are relative to the file that includes",
                    )

    def _matches(self, document: Document, at: Path, pattern: str) -> list[str]:
        if "\0" in pattern:
            self._fault(document, at, f"{quoted(pattern)} holds a NUL", "write the path without it")
            return []
        folder = os.path.dirname(document.path)
        wanted = os.path.normpath(os.path.join(folder, pattern))
        if not self._is_within(os.path.realpath(wanted)):
            self._fault(document, at, _outside(quoted(pattern)), f"it must be below {self._folder}")
            return []
        if not glob.has_magic(pattern):
            self.patterns.append(glob.escape(wanted))
            return [wanted]
        # The name of the folder is no pattern, even if it contains brackets.
        self.patterns.append(os.path.normpath(os.path.join(glob.escape(folder), pattern)))
        return sorted(glob.glob(self.patterns[-1]))

    def _is_within(self, path: str) -> bool:
        return os.path.commonpath([self._folder, path]) == self._folder

    def _fault(self, document: Document, at: Path, message: str, hint: str) -> None:
        self._report.fault([Layer(document, (), document.value)], Fault(message=message, path=at, hint=hint))


def _outside(path: str) -> str:
    return f"{shorten_path(path)} is outside the folder of the jobs file"
