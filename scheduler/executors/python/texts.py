"""Texts that a user's code makes: whatever it does meanwhile, they become short, and something that can be sent and stored."""

from collections.abc import Callable

#: Characters of what an exception says, and of any other sentence.
MOST = 4096
#: Characters of a traceback.
MOST_FRAMES = 1 << 16


def bounded(text: str, most: int = MOST) -> str:
    """The text, cut if it is longer, and without halves of characters."""
    text = str.__str__(text)  # of a class of somebody's own nothing is called
    cut = f"… (cut, {len(text)} characters)" if len(text) > most else ""
    return text[:most].encode(errors="backslashreplace").decode() + cut


def said(make: Callable[[], object], otherwise: str, most: int = MOST) -> str:
    """What a user's code says, bounded; `otherwise` if it raises, or if it is no text."""
    try:
        text = make()
        return bounded(text, most) if isinstance(text, str) else otherwise
    except BaseException:  # noqa: BLE001  an exception whose own text raises, SystemExit too, ends nothing but itself
        return otherwise


def of_error(error: BaseException) -> str:
    """The class of an exception, and what it says."""
    name, text = said(lambda: type(error).__name__, "an exception"), said(lambda: str(error), "")
    return f"{name}: {text}" if text else name
