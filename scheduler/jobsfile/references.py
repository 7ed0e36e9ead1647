"""`${env:NAME}` and `${file:PATH}`: what they stand for. No message ever holds it."""

import os
import re
from collections.abc import Callable, Mapping

from scheduler.errors import TminusError, quoted, shorten, shorten_path
from scheduler.jobsfile.files import CannotRead, DoesNotAnswer, FileContent, read_file
from scheduler.templates import Reference

_LONGEST = 64 << 10
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Unresolved(TminusError):
    """A reference that stands for nothing."""

    hint: str


class References:
    """
    What references stand for. Thread-safe; every answer is looked up anew.

    Args:
        folder: That of the jobs file; paths are relative to it.
        environ: The environment.
        read: Reads a file, as `read_file` does.
    """

    def __init__(self, folder: str, environ: Mapping[str, str], *, read: Callable[..., FileContent] = read_file) -> None:
        self._folder = folder
        self._read = read
        self._environ = environ

    def value_of(self, reference: Reference) -> str:
        """
        Raises:
            Unresolved: there is no such value, or it may not be used.
            DoesNotAnswer: its file system hangs, and `read` does not wait for it.
        """
        match reference.source:
            case "env":
                return self._variable(reference.name)
            case "file":
                return self._file(reference.name)
            case _:
                raise Unresolved(f"{reference}: {reference.source} is not in this version yet", hint="use ${env:…} or ${file:…}")

    def _variable(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise Unresolved(f"{quoted(name)} is not the name of an environment variable", hint="letters, digits and _")
        value = self._environ.get(name)
        if value is None:
            raise Unresolved(f"secret {shorten(name)} not found", hint=f"set the environment variable {shorten(name)} for tminus")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unresolved(f"secret {shorten(name)} is not UTF-8", hint="write it as text, such as base64") from None
        return value

    def _file(self, name: str) -> str:
        try:
            content = self._read(os.path.join(self._folder, name), limit=_LONGEST)
        except DoesNotAnswer:
            raise
        except CannotRead as error:
            raise Unresolved(
                f"secret {shorten_path(name)} not found: {error}", hint="the path is relative to the jobs file"
            ) from None
        if content.mode & 0o077:
            hint = f"chmod 600 {name}"
            raise Unresolved(f"{name}: secret file mode {content.mode:04o}; must be 0600 or 0400", hint=hint)
        try:
            text = content.data.decode()
        except UnicodeDecodeError:
            raise Unresolved(f"{name}: secret file is not UTF-8", hint="write the secret as text, such as base64") from None
        return text.removesuffix("\n").removesuffix("\r") if text.endswith("\r\n") else text.removesuffix("\n")
