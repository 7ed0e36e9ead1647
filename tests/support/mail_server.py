"""A real mail server on loopback that counts mails, and may keep their senders waiting."""

import asyncio
import email.policy
import socket
from collections.abc import Awaitable
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.daemon import eventually


class MailServer(Controller):
    """
    A server that accepts mails until the `with` block ends.

    A mail counts from the moment at which the server has all of it, even if its sender is killed before the
    server has responded.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        super().__init__(self, hostname="127.0.0.1", port=self._socket.getsockname()[1])
        self._mails: list[EmailMessage] = []
        self._accepted_first = 0  #: This many are still accepted although others are held.
        self._held = 0
        self._may_accept = asyncio.Event()
        self._may_accept.set()

    def __enter__(self) -> "MailServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self.stop()

    @property
    def mails(self) -> list[EmailMessage]:
        """All mails so far, in the order of their arrival."""
        return list(self._mails)

    @property
    def held(self) -> int:
        """The number of mails whose senders were kept waiting since the last `hold`."""
        return self._held

    def to(self, address: str, subject: str) -> list[EmailMessage]:
        """Return the mails to this address with this subject so far."""
        return [mail for mail in self.mails if mail["To"] == address and mail["Subject"] == subject]

    def wait_for(self, address: str, subject: str) -> EmailMessage:
        """Wait for a mail to this address with this subject; return the latest one."""
        found: list[EmailMessage] = eventually(
            lambda: self.to(address, subject),
            what=f"a mail {subject!r} to {address}",
            instead=lambda: str([(mail["To"], mail["Subject"]) for mail in self.mails]),
        )
        return found[-1]

    def hold(self, *, after: int = 0) -> None:
        """Accept this many mails; take those after them, too, but do not respond to their senders."""

        async def hold() -> None:
            self._accepted_first, self._held = after, 0
            self._may_accept.clear()

        asyncio.run_coroutine_threadsafe(hold(), self.loop).result()

    def release(self) -> None:
        """Respond to all senders that wait, and to all later ones at once."""
        self.loop.call_soon_threadsafe(self._may_accept.set)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:
        """Take a mail; return the response."""
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self._mails.append(mail)
        if self._accepted_first:
            self._accepted_first -= 1
        elif not self._may_accept.is_set():
            self._held += 1
            await self._may_accept.wait()
        return "250 accepted"

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        # On a socket that exists: no other program can take the port meanwhile.
        return self.loop.create_server(self._factory_invoker, sock=self._socket)
