"""Files and environment variables that a jobs file names, and what is wrong with them."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from tminus.errors import InvalidText, shorten_path
from tminus.jobsfile.text.faults import Fault
from tminus.jobsfile.text.problems import Severity
from tminus.secrets.files import CannotRead, DoesNotAnswer, FileContent, check_file, in_time, read_file
from tminus.secrets.references import References, Unresolved, check_name
from tminus.templates import Reference, references, render

#: Time for an answer of a file system. Once one hangs, the others get less.
_ANSWERS_S, _OTHERS_ANSWER_S = 1.0, 0.1
_RELATIVE = "the path is relative to the jobs file"


class ExternalReferences:
    """
    Remembers what is wrong with a reference, never its value. Not thread-safe.

    Args:
        folder: The folder of the jobs file.
        environ: The environment.
        secrets: The severity of a missing secret; None if secrets are not looked up.
    """

    def __init__(
        self, folder: str, environ: Mapping[str, str], *, secrets: Severity | None = Severity.ERROR
    ) -> None:
        self._folder = folder
        self._secrets = secrets
        self._references = References(
            folder, environ, read=lambda path, *, limit: self._ask(read_file, path, limit=limit)
        )
        self._hangs = False
        self._reference_faults: dict[Reference, Fault | None] = {}
        self._file_faults: dict[str, Fault | None] = {}

    @property
    def has_secrets(self) -> bool:
        """Whether secrets are looked up."""
        return self._secrets is not None

    def absolute(self, path: str) -> str:
        """Return the absolute path of a path in the jobs file."""
        return os.path.abspath(os.path.join(self._folder, path))

    def reference_fault(self, reference: Reference) -> Fault | None:
        """
        Return why a reference cannot be resolved; None if it can. If secrets are not looked up, only its name
        is checked.
        """
        if reference not in self._reference_faults:
            try:
                if self._secrets is None:
                    check_name(reference)
                else:
                    self._references.value_of(reference)
                self._reference_faults[reference] = None
            except DoesNotAnswer as error:
                self._reference_faults[reference] = _hanging(reference.name, error)
            except Unresolved as error:
                self._reference_faults[reference] = Fault(
                    message=error.message, hint=error.hint, severity=self._secrets or Severity.ERROR
                )
        return self._reference_faults[reference]

    def value_fault(self, text: str, check: Callable[[str], object]) -> Fault | None:
        """
        Return why the value of a text cannot be used; None if it can, or if it is not known.

        Args:
            text: The text as written.
            check: Raises `InvalidText` for a value that cannot be used.
        """
        has_references = any(True for _ in references(text))
        severity = self._secrets if has_references else Severity.ERROR
        if severity is None:
            return None
        try:
            check(str(render(text, {}, self._references.value_of)))
        except InvalidText as error:
            return Fault(message=error.message, hint=error.hint, severity=severity)
        except (Unresolved, DoesNotAnswer):
            return None
        return None

    def read(self, path: str, *, limit: int) -> bytes | Fault:
        """Return the content of a file, or why it cannot be read. `limit` is the most bytes."""
        try:
            content: FileContent = self._ask(read_file, self.absolute(path), limit=limit)
        except CannotRead as error:
            return Fault(message=f"cannot read {shorten_path(path)}: {error}", hint=_RELATIVE)
        return content.data

    def file_fault(self, path: str) -> Fault | None:
        """Return why a file cannot be read; None if it can."""
        if path not in self._file_faults:
            self._file_faults[path] = self._file_fault(path)
        return self._file_faults[path]

    def folder_fault(self, path: str) -> Fault | None:
        """Return the fault of a path that is not a directory; None for a directory."""
        return self._fault(
            os.path.isdir, path, message=f"{shorten_path(path)} is not a directory", hint=_RELATIVE
        )

    def interpreter_fault(self, path: str) -> Fault | None:
        """Return the fault of a path that is not a program; None for a program."""
        hint = "such as /srv/backoffice/.venv/bin/python; relative to the jobs file"
        return self._fault(
            _is_program, path, message=f"there is no interpreter {shorten_path(path)}", hint=hint
        )

    def _file_fault(self, path: str) -> Fault | None:
        try:
            self._ask(check_file, self.absolute(path))
        except DoesNotAnswer as error:
            return _hanging(path, error)
        except CannotRead as error:
            return Fault(message=f"cannot read {shorten_path(path)}: {error}", hint=_RELATIVE)
        return None

    def _fault(self, check: Callable[[str], bool], path: str, *, message: str, hint: str) -> Fault | None:
        try:
            return None if self._ask(check, self.absolute(path)) else Fault(message=message, hint=hint)
        except DoesNotAnswer as error:
            return _hanging(path, error)

    def _ask(self, look: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return in_time(
                lambda: look(*arguments, **options), _OTHERS_ANSWER_S if self._hangs else _ANSWERS_S
            )
        except DoesNotAnswer:
            self._hangs = True
            raise


def _is_program(path: str) -> bool:
    return os.access(path, os.X_OK)


def _hanging(path: str, error: DoesNotAnswer) -> Fault:
    """Return a warning: only the jobs that need the file fail."""
    return Fault(
        message=f"cannot read {shorten_path(path)}: {error}",
        hint="jobs that need the file fail until its file system answers",
        severity=Severity.WARNING,
    )
