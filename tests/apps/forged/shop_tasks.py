"""A module that the application does not import."""

from tminus.flask import background


@background
def look(word: str) -> str:
    return word
