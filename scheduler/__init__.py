"""tminus: a concurrent batch scheduler daemon. Importing the package costs nothing; `scheduler.flask` is its public API."""

__version__ = "0.1.0"
