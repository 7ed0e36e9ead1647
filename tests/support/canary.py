"""A password of tests, and all forms of it that are searched for in what is stored or printed."""

import base64
import json
from urllib.parse import quote

#: Each is looked for as it is, and in the forms in which it may be sent or stored.
CANARY = "kanarienvogel-4711:z/w"


def needles() -> list[bytes]:
    """Return what is searched for."""
    forms = [
        CANARY,
        quote(CANARY, safe=""),
        quote(CANARY),
        json.dumps(CANARY),
        f"somebody:{CANARY}",
        f"x{CANARY}",
        f"xx{CANARY}",
    ]
    encoded = [base64.b64encode(form.encode()).decode()[4:-4] for form in forms]
    return [
        form.encode()
        for form in (*forms, *encoded, CANARY[:18], CANARY[:18].upper(), CANARY[:18].encode().hex())
    ]


def found(data: bytes, what: list[bytes]) -> list[bytes]:
    """Return the needles that are in the data."""
    return [needle for needle in what if needle in data]
