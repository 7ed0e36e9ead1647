"""`notify:` and `start_slo:`: the channels, and what they are told of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tminus.jobsfile.jobs.short_forms import several
from tminus.jobsfile.text.merge import Layer
from tminus.jobsfile.types.maps import key, list_of, short
from tminus.jobsfile.types.urls import URL
from tminus.jobsfile.types.values import BOOLEAN, NAME, NAME_HINT, TEXT, duration, one_of, text
from tminus.model.notification import Channel, ChannelType, StartSlo
from tminus.outcome import Outcome

CHANNEL_NAME = text(NAME, f"match {NAME}", hint=NAME_HINT)
CHANNEL_NAMES = short(list_of(CHANNEL_NAME), several, CHANNEL_NAME)
_OUTCOME = one_of(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """A place to send notifications to: one of apprise, webhook and healthchecks."""

    apprise: str | None = key(TEXT, "A URL of Apprise; needs tminus[notify].")
    webhook: str | None = key(URL, "Gets a JSON document by POST.")
    healthchecks: str | None = key(URL, "The ping URL of a check; gets success, /start and /fail.")
    secret: str | None = key(TEXT, "Signs the documents of a webhook (HMAC-SHA256).")
    outcomes: list[Outcome] | None = key(
        short(list_of(_OUTCOME), several, _OUTCOME), "Built in: [failed, timed_out, missed, unknown]."
    )
    throttle: int | None = key(
        duration("0s", "7d", example="10m"),
        "The least time between two messages about failures of a job. Built in: 10m.",
    )
    recovered: bool | None = key(BOOLEAN, "Also tell of the first success after failures. Built in: false.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSloSpec:
    """The limit for the last start of a batch."""

    last: int | None = key(
        duration("1ms", "1h", example="50ms"), "The channels get a message about a later start."
    )
    notify: list[str] | None = key(CHANNEL_NAMES, "The channels, by name.")


@dataclass(frozen=True, slots=True)
class NamedChannel:
    """
    An entry of `notify:`.

    Attributes:
        model: Its values.
        layer: Its place in the files.
        is_faulty: Whether a value is invalid, and therefore missing from the model.
    """

    model: ChannelSpec
    layer: Layer
    is_faulty: bool


def channels_of(named: Mapping[str, NamedChannel]) -> dict[str, Channel]:
    """Convert the entries of `notify:`, which must have no faults, to channels."""
    return {name: _channel(name, channel.model) for name, channel in named.items()}


def start_slo_of(model: StartSloSpec | None) -> StartSlo | None:
    """Return the limit for late starts; None if there is none."""
    if model is None or model.last is None:
        return None
    return StartSlo(last_ns=model.last, notify=tuple(model.notify or ()))


def _channel(name: str, model: ChannelSpec) -> Channel:
    kind = next(kind for kind in ChannelType if getattr(model, kind) is not None)
    values: dict[str, Any] = {
        "outcomes": None if model.outcomes is None else frozenset(model.outcomes),
        "throttle_ns": model.throttle,
        "recovered": model.recovered,
    }
    chosen = {key: value for key, value in values.items() if value is not None}
    return Channel(name=name, type=kind, url=getattr(model, kind), secret=model.secret, **chosen)
