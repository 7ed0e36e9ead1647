"""Names of credentials: for keys of a request that is copied, and for headers of a request that is redirected."""

_WORDS = (
    *("pass", "pwd", "secret", "token", "api_key", "api-key", "apikey", "auth"),
    *("csrf", "session", "card", "cvv", "otp", "pin"),
)


def names_credential(name: str) -> bool:
    """Whether the name contains one of the words, in any case."""
    folded = name.casefold()
    return any(word in folded for word in _WORDS)
