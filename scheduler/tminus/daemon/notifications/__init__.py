"""
Notifications: what channels are told, and its delivery.

The way of a notification: the transaction of an outcome writes a notice (`ledger/notices.py`). `notifier.py`
reads the notices on a thread of its own, away from any T. `decisions.py` decides what each channel is told,
and `messages.py` writes the texts. They are stored in the transaction that deletes the notices.
`deliveries.py` sends them, each channel on a thread of its own.

Failures. A crash loses nothing: a notice is durable with its outcome, and a notification until it is
delivered. If the process dies between a delivery and the row that says so, the notification is sent again,
with the same id. A channel that hangs delays itself alone. A delivery that fails is retried for a day, then
given up, which `status` shows.
"""
