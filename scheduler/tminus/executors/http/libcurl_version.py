"""The version of libcurl."""

import pycurl


def libcurl_version() -> str:
    """Return the versions of PycURL, libcurl and its TLS library, for people."""
    about = pycurl.version_info()
    own = pycurl.version.partition(" ")[0].replace("/", " ")
    return f"{own}, libcurl {about[1]}, {about[5]}"
