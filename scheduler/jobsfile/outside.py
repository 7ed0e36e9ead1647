"""What a jobs file names outside itself: files, environment variables. Each is looked at once while the file is loaded."""

import os
from collections.abc import Mapping

from scheduler.errors import shorten_path
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.files import CannotRead, check_file
from scheduler.jobsfile.problems import Severity
from scheduler.jobsfile.references import References, Unresolved
from scheduler.templates import Reference


class Outside:
    """
    Remembers what is wrong, never what something holds. Not thread-safe.

    Args:
        folder: That of the jobs file.
        environ: The environment.
        secrets: How bad it is where one is not there.
    """

    def __init__(self, folder: str, environ: Mapping[str, str], *, secrets: Severity = Severity.ERROR) -> None:
        self._folder = folder
        self._secrets = secrets
        self._references = References(folder, environ)
        self._reference_faults: dict[Reference, Fault | None] = {}
        self._file_faults: dict[str, Fault | None] = {}

    def absolute(self, path: str) -> str:
        """A path of the jobs file."""
        return os.path.abspath(os.path.join(self._folder, path))

    def reference_fault(self, reference: Reference) -> Fault | None:
        """Why a reference stands for nothing."""
        if reference not in self._reference_faults:
            try:
                self._references.value_of(reference)
                self._reference_faults[reference] = None
            except Unresolved as error:
                self._reference_faults[reference] = Fault(words=error.message, hint=error.hint, severity=self._secrets)
        return self._reference_faults[reference]

    def file_fault(self, path: str) -> Fault | None:
        """Why a file cannot be read."""
        if path not in self._file_faults:
            try:
                check_file(self.absolute(path))
                self._file_faults[path] = None
            except CannotRead as error:
                self._file_faults[path] = Fault(
                    words=f"cannot read {shorten_path(path)}: {error}", hint="the path is relative to the jobs file"
                )
        return self._file_faults[path]
