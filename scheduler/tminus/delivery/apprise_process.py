"""
Apprise, in a process of its own for each message.

Apprise is large, and its services may hang. Its process takes neither memory nor the GIL of the daemon, and
is killed if it hangs.
"""

import json
import subprocess
import sys
from importlib.util import find_spec

from tminus.model.notification import Notification, NotificationKind

TIMEOUT_S = 30
_TYPES = {NotificationKind.RECOVERED: "success", NotificationKind.TEST: "info"}


class AppriseFailed(Exception):
    """Apprise has not delivered a message; the reason may contain secrets."""


def send_by_apprise(url: str, one: Notification) -> None:
    """
    Send a message to a service.

    Raises:
        AppriseFailed: it was not sent, or it is unknown whether it was.
    """
    if find_spec("apprise") is None:
        raise AppriseFailed("Apprise is not installed; in the folder of tminus: pip install '.[notify]'")
    message = {"url": url, "title": one.title, "body": one.text, "type": _TYPES.get(one.kind, "failure")}
    command = [sys.executable, "-P", "-m", "tminus.delivery.apprise_main"]
    try:
        done = subprocess.run(
            command, input=json.dumps(message), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise AppriseFailed(f"no answer within {TIMEOUT_S} s") from None
    except OSError as error:
        raise AppriseFailed(f"cannot start a process: {error.strerror}") from None
    if done.returncode != 0:
        raise AppriseFailed(_last_line(done.stdout) or _last_line(done.stderr) or "Apprise gives no reason")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
