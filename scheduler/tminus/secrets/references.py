"""Values of `${env:NAME}` and `${file:PATH}`. No message contains a value."""

import os
import re
from collections.abc import Callable, Mapping

from tminus.errors import TminusError, quoted, shorten, shorten_path
from tminus.secrets.files import CannotRead, DoesNotAnswer, FileContent, FileNotFound, read_file
from tminus.templates import Reference

_LONGEST = 64 << 10
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Unresolved(TminusError):
    """The error for a reference without a value, or with a value that may not be used."""

    hint: str


def check_name(reference: Reference) -> None:
    """
    Check the name of a reference, without its value.

    Raises:
        Unresolved: no environment variable can have this name.
    """
    if reference.source == "env" and not _NAME.fullmatch(reference.name):
        raise Unresolved(
            f"{quoted(reference.name)} is not the name of an environment variable",
            hint="letters, digits and _, not beginning with a digit",
        )


class References:
    """
    The values of references. Thread-safe. None is kept: each is read when it is asked for.

    Args:
        folder: The folder of the jobs file; paths are relative to it.
        environ: The environment.
        read: Reads a file, as `read_file` does. It may keep files, such as for a batch.
    """

    def __init__(
        self, folder: str, environ: Mapping[str, str], *, read: Callable[..., FileContent] = read_file
    ) -> None:
        self._folder = folder
        self._read = read
        self._environ = environ

    def value_of(self, reference: Reference) -> str:
        """
        Return the value of a reference. One newline at the end of a file is left out.

        Raises:
            Unresolved: there is no such value, or it may not be used.
            DoesNotAnswer: from `read`.
        """
        check_name(reference)
        return self._variable(reference.name) if reference.source == "env" else self._file(reference.name)

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        if value is None:
            raise Unresolved(
                f"secret {shorten(name)} not found",
                hint=f"set the environment variable {shorten(name)} for tminus",
            )
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unresolved(
                f"secret {shorten(name)} is not UTF-8", hint="write it as text, such as base64"
            ) from None
        return value

    def _file(self, name: str) -> str:
        try:
            content = self._read(os.path.join(self._folder, name), limit=_LONGEST)
        except DoesNotAnswer:
            raise
        except FileNotFound as error:
            raise Unresolved(
                f"secret {shorten_path(name)} not found: {error}",
                hint="the path is relative to the jobs file",
            ) from None
        except CannotRead as error:
            raise Unresolved(
                f"secret {shorten_path(name)} cannot be read: {error}",
                hint="name a file of at most 64 KiB that tminus may read",
            ) from None
        if content.mode & 0o077:  # as ssh for keys: the owner may also execute it
            message = f"{shorten_path(name)}: secret file mode {content.mode:04o}; must be 0600 or 0400"
            raise Unresolved(message, hint=f"chmod 600 {shorten_path(name)}")
        try:
            text = content.data.decode()
        except UnicodeDecodeError:
            message = f"{shorten_path(name)}: secret file is not UTF-8"
            raise Unresolved(message, hint="write the secret as text, such as base64") from None
        return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
