"""When the phases of a transfer ended, by libcurl's own times. They are read after the transfer has ended."""

import pycurl

from tminus.instants import SECOND
from tminus.outcome import Phase

_TIMES = {
    Phase.RESOLVED: pycurl.NAMELOOKUP_TIME,
    Phase.CONNECTED: pycurl.CONNECT_TIME,
    Phase.TLS: pycurl.APPCONNECT_TIME,
}


def curl_time_ns(curl: pycurl.Curl, info: int) -> int:
    """Return one of libcurl's times, which it measures from the start of the transfer."""
    seconds: float = curl.getinfo(info)
    return round(seconds * SECOND)


def connection_phases(curl: pycurl.Curl, *, began_ns: int) -> dict[str, int]:
    """
    Return when the phases of a transfer's connection ended, wall clock. Those of a connection that existed
    before are missing. After redirects all are missing, because there may have been several connections.

    Args:
        curl: A transfer that has ended.
        began_ns: When it began, wall clock.
    """
    if curl.getinfo(pycurl.REDIRECT_COUNT):
        return {}
    times = {phase: curl_time_ns(curl, info) for phase, info in _TIMES.items()}
    return {phase: began_ns + time_ns for phase, time_ns in times.items() if time_ns}
