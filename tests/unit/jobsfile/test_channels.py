"""What the channels of a good jobs file mean."""

from pathlib import Path

import pytest

from tests.unit.jobsfile.jobs_text import TOP, load_text, messages
from tminus.instants import MS, SECOND
from tminus.jobsfile.load import JobsFile, load
from tminus.jobsfile.text.problems import Severity, plain
from tminus.model.notification import FAILURES, Channel, ChannelType, StartSlo
from tminus.outcome import Outcome

CHANNELS = """\
notify:
  ops: {apprise: "${env:OPS_URL}", outcomes: [failed, missed], throttle: 5m, recovered: true}
  hook: {webhook: https://alerts.example.com/x, secret: "${env:KEY}", outcomes: unknown, throttle: 0}
  beat: {healthchecks: https://hc.example.com/UUID}
start_slo: {last: 50ms, notify: [ops]}
daemon: {notify: beat}
defaults: {notify: [ops, beat]}
"""
JOBS = """\
jobs:
  a: {schedule: manual, http: https://x.example.com/}
  b: {schedule: manual, http: https://x.example.com/, notify: hook}
  c: {schedule: manual, http: https://x.example.com/, notify: null}
"""
ENVIRON = {"OPS_URL": "mailto://canary-1", "KEY": "canary-2"}


def test_channels_have_their_policies_and_who_names_them(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, TOP + CHANNELS + JOBS, environ=ENVIRON)
    definitions = loaded.definitions
    assert definitions, messages(loaded)
    ops = Channel(
        name="ops",
        type=ChannelType.APPRISE,
        url="${env:OPS_URL}",
        outcomes=frozenset({Outcome.FAILED, Outcome.MISSED}),
        throttle_ns=300 * SECOND,
        recovered=True,
    )
    hook = Channel(
        name="hook",
        type=ChannelType.WEBHOOK,
        url="https://alerts.example.com/x",
        secret="${env:KEY}",
        outcomes=frozenset({Outcome.UNKNOWN}),
        throttle_ns=0,
    )
    beat = Channel(name="beat", type=ChannelType.HEALTHCHECKS, url="https://hc.example.com/UUID")
    assert definitions.channels == {"ops": ops, "hook": hook, "beat": beat}
    assert (beat.outcomes, beat.throttle_ns, beat.recovered) == (FAILURES, 600 * SECOND, False)
    assert definitions.start_slo == StartSlo(last_ns=50 * MS, notify=("ops",))
    assert definitions.daemon.notify == ("beat",)
    notify = {name: job.notify for name, job in definitions.jobs.items()}
    assert notify == {"a": ("ops", "beat"), "b": ("hook",), "c": ()}


def test_without_channels_there_is_nothing(tmp_path: Path) -> None:
    definitions = load_text(
        tmp_path, f"{TOP}jobs: {{a: {{schedule: manual, http: https://x.example.com/}}}}"
    ).definitions
    assert definitions
    assert (definitions.channels, definitions.start_slo, definitions.daemon.notify) == ({}, None, ())


def test_a_channel_is_in_one_file_only(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("notify: {beat: {healthchecks: https://hc.example.com/UUID}}\n")
    loaded = load_text(tmp_path, f"{TOP}include: [more.yaml]\n" + CHANNELS + JOBS, environ=ENVIRON)
    assert [str(error) for error in loaded.errors] == [
        "more.yaml:1:10: notify: channel 'beat' defined in jobs.yaml:7 and more.yaml:1"
    ]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("c2VjcmV0LWNhbmFyeQ", id="without-padding"),
        pytest.param("s3cret-canary", id="no-base64"),
        pytest.param("", id="empty"),
    ],
)
@pytest.mark.parametrize("severity", [Severity.ERROR, Severity.WARNING])
def test_a_key_of_standard_webhooks_that_is_not_base64_has_a_place_and_is_not_shown(
    tmp_path: Path, key: str, severity: Severity
) -> None:
    (tmp_path / "jobs.yaml").write_text(TOP + CHANNELS + JOBS)
    loaded = load(tmp_path / "jobs.yaml", environ={**ENVIRON, "KEY": f"whsec_{key}"}, secrets=severity)
    assert (loaded.definitions is None) == (severity is Severity.ERROR)
    (problem,) = loaded.errors or loaded.warnings
    assert (problem.line, problem.column) == (5, 57)
    assert problem.message == "notify.hook.secret: what follows whsec_ is not base64"
    assert problem.hint.startswith("copy the whole key, up to its last =")
    assert "canary" not in plain(problem)


def test_a_key_of_standard_webhooks_in_plain_text_is_checked_without_the_secrets(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(TOP + CHANNELS.replace('"${env:KEY}"', "whsec_s3cret") + JOBS)
    loaded = JobsFile(tmp_path / "jobs.yaml", environ={}, with_secrets=False).load()
    assert [error.message for error in loaded.errors] == [
        "notify.hook.secret: what follows whsec_ is not base64"
    ]
    (tmp_path / "jobs.yaml").write_text(TOP + CHANNELS + JOBS)
    assert JobsFile(tmp_path / "jobs.yaml", environ={}, with_secrets=False).load().errors == ()


def test_a_missing_apprise_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tminus.jobsfile.jobs.channel_faults.find_spec", lambda _: None)
    loaded = load_text(tmp_path, TOP + CHANNELS + JOBS, environ=ENVIRON)
    assert loaded.definitions
    assert [str(warning) for warning in loaded.warnings] == [
        "jobs.yaml:4:18: notify.ops.apprise: Apprise is not installed here"
    ]


def test_a_url_of_apprise_in_plain_text_is_a_warning_and_not_shown(tmp_path: Path) -> None:
    channel = "notify: {ops: {apprise: 'slack://tok3n-a/tok3n-b', throttle: never}}\n"
    loaded = load_text(tmp_path, TOP + channel + JOBS.replace(", notify: hook", ""))
    said = [str(warning) for warning in loaded.warnings]
    assert said[0].endswith("notify.ops.apprise: a secret in plain text")
    assert not any("tok3n" in problem.source for problem in (*loaded.errors, *loaded.warnings))
