"""The function of each of the hundred jobs."""

from threading import Event

from flask import current_app


def wait(seconds: float) -> str:
    """Wait like the call of a slow partner."""
    Event().wait(seconds)
    return f"{current_app.name} has waited for {seconds} s"
