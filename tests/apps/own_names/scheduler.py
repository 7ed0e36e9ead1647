"""The application's own module of this name."""


def start_scheduler() -> str:
    """Say whose this is."""
    return "the application's own scheduler"
