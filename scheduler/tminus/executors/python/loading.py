"""Loads the object of `module:name`, or says in a sentence why it cannot be loaded."""

import importlib
import importlib.metadata
import inspect
import sys
import threading
import traceback
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tminus.executors.python import texts
from tminus.executors.python.name_clash import other_tminus
from tminus.suggestions import did_you_mean

if TYPE_CHECKING:
    from flask import Flask

_OLDEST_FLASK = (2, 3)
#: Frames of these files belong to Python's import, not to the module.
_MACHINERY = ("<frozen importlib", "importlib/__init__.py")


class CannotLoad(Exception):
    """An object cannot be loaded. The message is for people; `traceback` has the user's own frames."""

    def __init__(self, message: str, own_traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = own_traceback


class NotInCode(CannotLoad):
    """The code that is loaded here does not have it; newer code may."""


def load(ref: str) -> Any:
    """
    Return the object of `module:name`.

    Raises:
        NotInCode: there is no such module or name, or the module raises during its import.
    """
    module_name, _, name = ref.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise NotInCode(f"{ref}: there is no module {error.name!r} in {_environment()}") from None
        raise NotInCode(f"{module_name} does not import: {_last_line(error)}", own_frames(error)) from None
    except BaseException as error:  # noqa: BLE001  a module may raise anything, even SystemExit
        raise NotInCode(f"{module_name} does not import: {_last_line(error)}", own_frames(error)) from None
    try:
        return getattr(module, name)
    except AttributeError:
        hint = did_you_mean(name, [known for known in vars(module) if not known.startswith("_")])
        raise NotInCode(f"{ref}: module {module_name!r} has no {name!r}{hint}") from None


class StillLoading(Exception):
    """The import continues, on a thread of its own."""


class Loader:
    """
    Imports on threads of its own, so that a module that hangs delays only the jobs that need it. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loads: dict[str, Future[Any]] = {}

    def load(self, ref: str, timeout_s: float | None = None) -> Any:
        """
        Return the object of `module:name`. It is loaded once.

        Args:
            timeout_s: How long to wait; None for no limit.

        Raises:
            CannotLoad: as for `load`.
            StillLoading: the time is over, and the import continues.
        """
        with self._lock:
            future = self._loads.get(ref)
            if future is None or (future.done() and future.exception()):
                future = Future()
                threading.Thread(
                    target=_load_into, args=(future, ref), name=f"import {ref}", daemon=True
                ).start()
                self._loads[ref] = future
        try:
            return future.result(timeout_s)
        except TimeoutError:
            raise StillLoading from None


def _load_into(future: "Future[Any]", ref: str) -> None:
    try:
        future.set_result(load(ref))
    except CannotLoad as error:
        future.set_exception(error)
    except BaseException as error:  # noqa: BLE001  a module may raise anything for a name
        future.set_exception(CannotLoad(f"{ref} cannot be loaded: {_last_line(error)}", own_frames(error)))


def import_app(text: str | None) -> "Flask | None":
    """
    Return the application of this process, as `load_app`; None if it has none.

    Raises:
        CannotLoad: the application cannot be imported, or something else is called `tminus` here. A web
            worker would import that module in place of this package, and a runner the other way round.
    """
    try:
        return load_app(text) if text else None
    finally:
        if other := other_tminus():  # also if the import fails, because this may be the reason
            raise CannotLoad(
                f"{other} has the name of the package tminus, and Python finds only one of the two: rename it"
            ) from None


def load_app(text: str) -> "Flask":
    """
    Return a Flask application, `module:app` or `module:factory()`.

    Raises:
        CannotLoad: there is none.
    """
    ref, is_factory = (text[:-2], True) if text.endswith("()") else (text, False)
    found = load(ref)
    if is_factory:
        found = _call_factory(ref, found)
    if not isinstance(found, _flask()):
        hint = f"; {text}() would call it" if callable(found) and not is_factory else ""
        raise CannotLoad(f"{text} is {kind_of(found)}, not a Flask application{hint}")
    app: Flask = found
    return app


def _flask() -> Any:
    """Return the class of the application's own Flask."""
    try:
        version = importlib.metadata.version("flask")
    except importlib.metadata.PackageNotFoundError:
        raise CannotLoad(f"there is no Flask in {_environment()}") from None
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _OLDEST_FLASK:
        raise CannotLoad(f"Flask {version} is too old: 2.3 or newer is needed in {_environment()}")
    from flask import Flask

    return Flask


def own_frames(error: BaseException) -> str:
    """
    Return the traceback without frames of tminus and of Python's import.
    """
    return texts.user_text(lambda: _own_frames(error), f"{texts.describe_error(error)}\n", texts.MOST_FRAMES)


def _own_frames(error: BaseException) -> str:
    ours = f"{Path(__file__).parents[2]}/"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((ours, *_MACHINERY)) and "importlib" not in frame.filename
    ]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
    return "".join([*lines, *traceback.format_exception_only(error)])


def _call_factory(ref: str, factory: Any) -> Any:
    if not callable(factory):
        raise CannotLoad(f"{ref} is {kind_of(factory)}: write {ref} without the brackets")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise CannotLoad(f"the factory {ref}() wants arguments: {error}; it is called without any") from None
    except ValueError:  # a factory in C may have no signature
        pass
    try:
        return factory()
    except BaseException as error:  # noqa: BLE001  as for an import
        raise CannotLoad(f"the factory {ref}() raised {_last_line(error)}", own_frames(error)) from None


def _last_line(error: BaseException) -> str:
    def make() -> str:
        printed = traceback.TracebackException.from_exception(error)
        printed.__notes__ = None  # they would come last
        return "".join(printed.format_exception_only()).strip().splitlines()[-1]

    return texts.user_text(make, texts.describe_error(error))


def kind_of(value: object) -> str:
    """Return the type of a value, with an article."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _environment() -> str:
    return f"the environment of {sys.executable}"
