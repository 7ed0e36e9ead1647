"""Test for a lack of descriptors in process or machine: libcurl only says that it could not connect."""

import os


def fd_exhaustion_errno() -> int:
    """Return EMFILE or ENFILE if no further file can be opened now, otherwise 0."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno or 0
    return 0
