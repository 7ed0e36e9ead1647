"""Whether this process, or this machine, has run out of descriptors: libcurl only says that it could not connect."""

import os


def shortage() -> int:
    """EMFILE or ENFILE where not one more file can be opened now; else 0."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno or 0
    return 0
