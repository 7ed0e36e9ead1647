"""Faults of `notify:`, `start_slo:`, and the lists that name channels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec

from tminus.errors import quoted
from tminus.jobsfile.jobs.channels import NamedChannel
from tminus.jobsfile.jobs.external_references import ExternalReferences
from tminus.jobsfile.jobs.sections import Sections
from tminus.jobsfile.text.faults import Fault
from tminus.jobsfile.text.masking import is_plain_secret
from tminus.jobsfile.text.merge import Layer
from tminus.jobsfile.text.problems import Severity
from tminus.jobsfile.text.tree import Path
from tminus.model.notification import ChannelType
from tminus.secrets.signing_key import signing_key
from tminus.suggestions import nearest
from tminus.templates import check, references

_TYPES = tuple(ChannelType)
_FOR_MESSAGES = (ChannelType.APPRISE, ChannelType.WEBHOOK)
#: Keys that only some types of channels have.
_ONLY: Mapping[str, tuple[ChannelType, ...]] = {
    "secret": (ChannelType.WEBHOOK,),
    "throttle": _FOR_MESSAGES,
    "recovered": _FOR_MESSAGES,
}


def notify_faults(sections: Sections, external: ExternalReferences) -> Iterator[tuple[Layer, Fault]]:
    """
    Yield the faults of the channels, and of the settings that name them, each with its place.

    Args:
        sections: The sections of all files.
        external: Knows whether references can be resolved.
    """
    for named in sections.channels.values():
        yield from ((named.layer, fault) for fault in _channel_faults(named, external))
    if sections.daemon is not None:
        checks = (ChannelType.HEALTHCHECKS,)
        names = name_faults(sections.daemon.notify, ("daemon", "notify"), sections.channels, checks)
        yield from ((sections.settings["daemon"], fault) for fault in names)
    if (slo := sections.start_slo) is not None:
        top = sections.settings["start_slo"]
        if slo.last is None or slo.notify is None:
            hint = "write start_slo: {last: 50ms, notify: [NAME]}"
            yield top, Fault(message="needs last and notify", joint=" ", path=("start_slo",), hint=hint)
        names = name_faults(slo.notify, ("start_slo", "notify"), sections.channels, _FOR_MESSAGES)
        yield from ((top, fault) for fault in names)


def name_faults(
    names: Sequence[str] | None,
    path: Path,
    channels: Mapping[str, NamedChannel],
    types: Sequence[ChannelType] = (),
) -> Iterator[Fault]:
    """
    Yield the faults of a list of names of channels.

    Args:
        names: The list; None if there is none.
        path: Where it is.
        channels: The entries of `notify:`.
        types: The types that the channels may have; empty for all types.
    """
    for index, name in enumerate(names or ()):
        channel = channels.get(name)
        if channel is None:
            near = nearest(name, channels)
            hint = f"did you mean {near}?" if near else "channels stand under notify: at the top of the file"
            yield Fault(message=f"no channel {quoted(name)}", path=(*path, index), hint=hint)
        elif types and not any(getattr(channel.model, kind) is not None for kind in types):
            message = f"the channel {quoted(name)} has no {' or '.join(types)}:"
            yield Fault(message=message, path=(*path, index), hint="name a channel that has it")


def _channel_faults(named: NamedChannel, external: ExternalReferences) -> Iterator[Fault]:
    """Yield the faults of a channel that can be found without sending anything."""
    model = named.model
    types = [kind for kind in _TYPES if getattr(model, kind) is not None]
    if not types and not named.is_faulty:
        hint = "write apprise: URL, webhook: URL or healthchecks: URL"
        yield Fault(message="a channel without an address", hint=hint)
    for kind in types[1:]:
        hint = "make two channels of it"
        yield Fault(
            message=f"give {types[0]} or {kind}, not both",
            path=(kind,),
            on_key=True,
            of_owner=True,
            hint=hint,
        )
    for name, known in _ONLY.items():
        if types and getattr(model, name) is not None and types[0] not in known:
            message, hint = f"is not for {types[0]}", f"leave it out; it is for {' and '.join(known)}"
            yield Fault(message=message, joint=" ", path=(name,), on_key=True, hint=hint)
    for name in (*_TYPES, "secret"):
        if isinstance(written := getattr(model, name), str):
            yield from (fault.under(name) for fault in _text_faults(name, written, external))
    if model.apprise is not None and find_spec("apprise") is None:
        hint = "in the folder of tminus: pip install '.[notify]', where the daemon runs; or use webhook:"
        message = "Apprise is not installed here"
        yield Fault(message=message, path=("apprise",), hint=hint, severity=Severity.WARNING)


def _text_faults(name: str, written: str, external: ExternalReferences) -> Iterator[Fault]:
    if (offset := written.find("{{")) >= 0:
        hint = "a channel knows no job; only ${env:NAME} and ${file:PATH} are replaced"
        yield Fault(message="{{ … }} has no value here", hint=hint, offset=offset, length=2)
        return
    wrongs = check(written, {})
    for wrong in wrongs:
        yield Fault(message=wrong.message, hint=wrong.hint, offset=wrong.offset, length=wrong.length)
    for reference in references(written):
        if fault := external.reference_fault(reference):
            text = str(reference)
            yield replace(fault, offset=max(written.find(text), 0), length=len(text))
    if name == "secret" and not wrongs and (fault := external.value_fault(written, signing_key)):
        yield fault
    if is_plain_secret(name, written):
        hint = "keep it outside, and write ${env:NAME} or ${file:PATH}"
        yield Fault(message="a secret in plain text", hint=hint, severity=Severity.WARNING)
