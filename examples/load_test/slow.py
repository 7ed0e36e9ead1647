"""What each of the hundred jobs does."""

from threading import Event

from flask import current_app


def wait(seconds: float) -> str:
    """Stand for a slow partner: it answers after that many seconds."""
    Event().wait(seconds)
    return f"{current_app.name} has waited for {seconds} s"
