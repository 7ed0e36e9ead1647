"""Notify: send a test to channels, without a daemon."""

import socket
from collections.abc import Mapping, Sequence

from tminus.delivery.send import send
from tminus.errors import UsageError, quoted
from tminus.model.definitions import Definitions
from tminus.model.notification import Channel, Notification, NotificationKind
from tminus.secrets.references import References
from tminus.suggestions import did_you_mean


def select_channels(names: Sequence[str], definitions: Definitions) -> list[Channel]:
    """
    Return the channels with these names; all of them if there are no names.

    Raises:
        UsageError: there is no channel, or none with such a name.
    """
    known = definitions.channels
    if not known:
        hint = "write notify: {ops: {webhook: URL}} at the top of the file"
        raise UsageError("the jobs file has no channels", hint=hint)
    for name in names:
        if name not in known:
            hint = f"there are: {', '.join(known)}"
            raise UsageError(f"no channel {quoted(name)}{did_you_mean(name, known)}", hint=hint)
    return [known[name] for name in names or known]


def send_test(channel: Channel, *, folder: str, environ: Mapping[str, str], now_ns: int) -> None:
    """
    Send a test to a channel.

    Args:
        channel: The channel.
        folder: The folder of the jobs file; paths of secrets are relative to it.
        environ: The environment, for `${env:…}`.
        now_ns: Wall clock.

    Raises:
        NotDelivered: it was not delivered. The message has no secrets.
    """
    host = socket.gethostname()
    test = Notification(
        channel=channel.name,
        kind=NotificationKind.TEST,
        about="",
        created_ns=now_ns,
        title=f"a test of the channel {channel.name}",
        text=f"sent by `tminus notify test` on {host}",
        data={"host": host},
    )
    send(channel, test, References(folder, environ), now_ns=now_ns)
