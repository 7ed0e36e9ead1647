"""Names of credentials: in the keys of a copied request, and in the headers of a redirected request."""

_WORDS = (
    *("pass", "pwd", "secret", "token", "api_key", "api-key", "apikey", "auth"),
    *("csrf", "session", "card", "cvv", "otp", "pin"),
)


def names_credential(name: str) -> bool:
    """Whether the name contains one of the words, in any case."""
    folded = name.casefold()
    return any(word in folded for word in _WORDS)
