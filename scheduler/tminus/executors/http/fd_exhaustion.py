"""Test for a lack of descriptors in process or machine: libcurl only says that it could not connect."""

import errno
import os


def fd_exhaustion_errno() -> int:
    """Return EMFILE or ENFILE if there is no descriptor for a further file now, otherwise 0."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return error.errno
    return 0
