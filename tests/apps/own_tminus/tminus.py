"""The application's own module of this name."""


def start() -> str:
    """Say whose this is."""
    return "the application's own tminus"
