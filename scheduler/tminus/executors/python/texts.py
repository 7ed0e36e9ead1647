"""Makes texts from a user's code short, and valid UTF-8. Reading such a text may raise anything."""

from collections.abc import Callable

#: Characters of the text of an exception, and of any other sentence.
MOST = 4096
#: Characters of a traceback.
MOST_FRAMES = 1 << 16


def bounded(text: str, most: int = MOST) -> str:
    """Return the text, cut if it is longer, and without halves of characters."""
    text = str.__str__(text)  # calls no method of a subclass
    cut = f"… (cut, {len(text)} characters)" if len(text) > most else ""
    return text[:most].encode(errors="backslashreplace").decode() + cut


def user_text(make: Callable[[], object], otherwise: str, most: int = MOST) -> str:
    """Return the text that a user's code makes, bounded; `otherwise` if it raises, or makes no text."""
    try:
        text = make()
        return bounded(text, most) if isinstance(text, str) else otherwise
    except BaseException:  # noqa: BLE001  the text of an exception may raise anything, even SystemExit
        return otherwise


def describe_error(error: BaseException) -> str:
    """Return the class of an exception, and its text."""
    name, text = user_text(lambda: type(error).__name__, "an exception"), user_text(lambda: str(error), "")
    return f"{name}: {text}" if text else name


def class_names(error: BaseException) -> list[str]:
    """Return the class of an exception and its bases, except `object`, as `module.Name`."""
    classes = type(error).__mro__[:-1]
    return [user_text(lambda one=one: f"{one.__module__}.{one.__qualname__}", "") for one in classes]  # type: ignore[misc]
