"""What a jobs file names outside itself: files, environment variables. Each is looked at once while the file is loaded."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from scheduler.errors import shorten_path
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.files import CannotRead, DoesNotAnswer, check_file, in_time, read_file
from scheduler.jobsfile.problems import Severity
from scheduler.jobsfile.references import References, Unresolved
from scheduler.templates import Reference

#: For each look at a file system; once one hangs, there is less for the others.
_ANSWERS_S, _OTHERS_ANSWER_S = 1.0, 0.1
_RELATIVE = "the path is relative to the jobs file"


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
        self._references = References(folder, environ, read=lambda path, *, limit: self._ask(read_file, path, limit=limit))
        self._hangs = False
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
            except DoesNotAnswer as error:
                self._reference_faults[reference] = _hanging(reference.name, error)
            except Unresolved as error:
                self._reference_faults[reference] = Fault(words=error.message, hint=error.hint, severity=self._secrets)
        return self._reference_faults[reference]

    def file_fault(self, path: str) -> Fault | None:
        """Why a file cannot be read."""
        if path not in self._file_faults:
            self._file_faults[path] = self._file_fault(path)
        return self._file_faults[path]

    def folder_fault(self, path: str) -> Fault | None:
        """Why something is no directory."""
        return self._fault(os.path.isdir, path, words=f"{shorten_path(path)} is not a directory", hint=_RELATIVE)

    def interpreter_fault(self, path: str) -> Fault | None:
        """Why something is no Python interpreter."""
        hint = "such as /srv/backoffice/.venv/bin/python; relative to the jobs file"
        return self._fault(_is_program, path, words=f"there is no interpreter {shorten_path(path)}", hint=hint)

    def _file_fault(self, path: str) -> Fault | None:
        try:
            self._ask(check_file, self.absolute(path))
        except DoesNotAnswer as error:
            return _hanging(path, error)
        except CannotRead as error:
            return Fault(words=f"cannot read {shorten_path(path)}: {error}", hint=_RELATIVE)
        return None

    def _fault(self, check: Callable[[str], bool], path: str, *, words: str, hint: str) -> Fault | None:
        try:
            return None if self._ask(check, self.absolute(path)) else Fault(words=words, hint=hint)
        except DoesNotAnswer as error:
            return _hanging(path, error)

    def _ask(self, look: Callable[..., Any], *given: Any, **more: Any) -> Any:
        try:
            return in_time(lambda: look(*given, **more), _OTHERS_ANSWER_S if self._hangs else _ANSWERS_S)
        except DoesNotAnswer:
            self._hangs = True
            raise


def _is_program(path: str) -> bool:
    return os.access(path, os.X_OK)


def _hanging(path: str, error: DoesNotAnswer) -> Fault:
    """A job that needs it fails; the others are well."""
    return Fault(
        words=f"cannot read {shorten_path(path)}: {error}", hint="jobs that need it fail until it does", severity=Severity.WARNING
    )
