"""`module:name` to an object, or one sentence that says why not."""

import importlib
import importlib.metadata
import inspect
import sys
import threading
import traceback
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scheduler.executors.python import texts

if TYPE_CHECKING:
    from flask import Flask

_OLDEST_FLASK = (2, 3)
#: Frames of these belong to the machinery of importing, not to whoever wrote the module.
_MACHINERY = ("<frozen importlib", "importlib/__init__.py")


class CannotLoad(Exception):
    """The message is for people; `traceback` holds the user's own frames."""

    def __init__(self, message: str, own_traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = own_traceback


def load(ref: str) -> Any:
    """
    The object that `module:name` names.

    Raises:
        CannotLoad: there is no such module or name, or the module raises while it is imported.
    """
    module_name, _, name = ref.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise CannotLoad(f"{ref}: there is no module {error.name!r} in {_where()}") from None
        raise CannotLoad(f"{module_name} does not import: {_words(error)}", own_frames(error)) from None
    except BaseException as error:  # noqa: BLE001  whatever a module does while it is imported, sys.exit too
        raise CannotLoad(f"{module_name} does not import: {_words(error)}", own_frames(error)) from None
    try:
        return getattr(module, name)
    except AttributeError:
        raise CannotLoad(f"{ref}: module {module_name!r} has no {name!r}{_near(module, name)}") from None


class StillLoading(Exception):
    """It is still imported, on a thread of its own."""


class Loader:
    """Imports on threads of its own: a module that hangs while it is imported holds up those only that need it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loads: dict[str, Future[Any]] = {}

    def load(self, ref: str, timeout_s: float | None = None) -> Any:
        """
        As `load`; what was found once is not looked for again.

        Raises:
            CannotLoad: as `load`.
            StillLoading: not by then.
        """
        with self._lock:
            future = self._loads.get(ref)
            if future is None or (future.done() and future.exception()):
                future = Future()
                threading.Thread(target=_load_into, args=(future, ref), name=f"import {ref}", daemon=True).start()
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
    except BaseException as error:  # noqa: BLE001  what a module does when it is asked for a name
        future.set_exception(CannotLoad(f"{ref} cannot be had: {_words(error)}", own_frames(error)))


def load_app(text: str) -> "Flask":
    """
    A Flask application, `module:app` or `module:factory()`.

    Raises:
        CannotLoad: there is none.
    """
    ref, is_factory = (text[:-2], True) if text.endswith("()") else (text, False)
    found = load(ref)
    if is_factory:
        found = _made(ref, found)
    if not isinstance(found, _flask()):
        hint = f"; {text}() would call it" if callable(found) and not is_factory else ""
        raise CannotLoad(f"{text} is {kind_of(found)}, not a Flask application{hint}")
    app: Flask = found
    return app


def _flask() -> Any:
    """The application's own Flask."""
    try:
        version = importlib.metadata.version("flask")
    except importlib.metadata.PackageNotFoundError:
        raise CannotLoad(f"there is no Flask in {_where()}") from None
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _OLDEST_FLASK:
        raise CannotLoad(f"Flask {version} is too old: 2.3 or newer is needed in {_where()}")
    from flask import Flask

    return Flask


def own_frames(error: BaseException) -> str:
    """The traceback without our own frames, those of `scheduler.flask` too, and without the machinery of importing."""
    return texts.said(lambda: _own_frames(error), f"{texts.of_error(error)}\n", texts.MOST_FRAMES)


def _own_frames(error: BaseException) -> str:
    ours = f"{Path(__file__).parents[2]}/"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((ours, *_MACHINERY)) and "importlib" not in frame.filename
    ]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
    return "".join([*lines, *traceback.format_exception_only(error)])


def _made(ref: str, factory: Any) -> Any:
    if not callable(factory):
        raise CannotLoad(f"{ref} is {kind_of(factory)}: write {ref} without the brackets")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise CannotLoad(f"the factory {ref}() wants arguments: {error}; it is called without any") from None
    except ValueError:  # one written in C tells no signature
        pass
    try:
        return factory()
    except BaseException as error:  # noqa: BLE001  as for an import
        raise CannotLoad(f"the factory {ref}() raised {_words(error)}", own_frames(error)) from None


def _words(error: BaseException) -> str:
    def last_line() -> str:
        said = traceback.TracebackException.from_exception(error)
        said.__notes__ = None  # they would come last
        return "".join(said.format_exception_only()).strip().splitlines()[-1]

    return texts.said(last_line, texts.of_error(error))


def _near(module: object, name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [known for known in vars(module) if not known.startswith("_")], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def kind_of(value: object) -> str:
    """Its type, with an article."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _where() -> str:
    return f"the environment of {sys.executable}"
