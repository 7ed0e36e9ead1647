"""Deliveries: one per channel at a time, each on a thread of its own, and one that hangs is reported."""

import threading

from tests.support.fake_clock import FakeClock
from tminus.daemon.notifications.deliveries import Deliveries, DeliveryResult
from tminus.delivery.send import NotDelivered
from tminus.instants import SECOND
from tminus.model.notification import Channel, ChannelType, Notification, NotificationKind


def channel(name: str) -> Channel:
    return Channel(name=name, type=ChannelType.WEBHOOK, url="")


def message(name: str) -> Notification:
    return Notification(
        channel=name, kind=NotificationKind.FAILED, about="it", created_ns=0, title="pay failed"
    )


def results_of(deliveries: Deliveries, count: int) -> dict[str, str | None]:
    found: list[DeliveryResult] = []
    while len(found) < count:
        found += deliveries.wait(60)
    return {one.notification.channel: one.error for one in found}


def test_each_delivery_ends_for_itself_and_says_why_it_failed(clock: FakeClock) -> None:
    def send(to: Channel, _: Notification) -> None:
        if to.name == "refused":
            raise NotDelivered("the server answered 503")
        if to.name == "broken":
            raise ValueError("T0KEN")

    deliveries = Deliveries(send, clock)
    for name in ("well", "refused", "broken"):
        deliveries.start(channel(name), message(name))
    assert results_of(deliveries, 3) == {
        "well": None,
        "refused": "the server answered 503",
        "broken": "the delivery broke (ValueError)",
    }
    assert (deliveries.busy, deliveries.are_open) == ([], False)


def test_a_delivery_that_hangs_is_reported_once_and_its_channel_stays_busy(clock: FakeClock) -> None:
    may_end = threading.Event()

    def send(*_: object) -> None:
        may_end.wait(60)

    deliveries = Deliveries(send, clock)
    deliveries.start(channel("ops"), message("ops"))
    assert deliveries.wait(0) == []
    clock.pause(60 * SECOND)
    (result,) = deliveries.wait(0)
    assert result.error == "no end within 60 s"
    assert (deliveries.wait(0), deliveries.busy, deliveries.are_open) == ([], ["ops"], False)
    may_end.set()
    while deliveries.busy:
        assert deliveries.wait(0) == [], "it was reported before"
