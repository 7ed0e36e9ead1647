"""What libcurl is here."""

import pycurl


def libcurl() -> str:
    """Its version, that of PycURL, and of its TLS library."""
    about = pycurl.version_info()
    own = pycurl.version.partition(" ")[0].replace("/", " ")
    return f"{own}, libcurl {about[1]}, {about[5]}"
