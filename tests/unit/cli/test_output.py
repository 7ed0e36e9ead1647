"""What commands print: for people, for pipes, for machines."""

import io
import json
import sys

import pytest

from tminus.cli.output import CommandOutput, offset
from tminus.errors import JobNotFound


def output(*, as_json: bool = False, quiet: bool = False) -> CommandOutput:
    return CommandOutput(as_json=as_json, color=True, quiet=quiet, verbose=False)


class Terminal(io.TextIOWrapper):
    """What is written to a terminal."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", newline="")

    def isatty(self) -> bool:
        return True

    @property
    def written(self) -> str:
        self.flush()
        return self.bytes.getvalue().decode()


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Both output streams, from now to the end of the test."""
    found = Terminal()
    monkeypatch.setattr(sys, "stdout", found)
    monkeypatch.setattr(sys, "stderr", found)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80")):
        monkeypatch.setenv(name, value)
    return found


#: What looks like the markup of a library, and what commands a terminal.
ODD = ["[bold]b[/]", "no [error] here", "GET [/api]", "\\[red]"]
COMMANDS = {
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "\x1b[8m": "\\x1b[8m",
    "\x9b2J": "\\x9b2J",
    "a\rb": "a\\rb",
}


@pytest.mark.parametrize("text", ODD)
def test_brackets_reach_a_terminal_as_they_are(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    terminal, printed = a_terminal(monkeypatch), output()
    printed.line(text)
    printed.table(("A", "B"), [(text, text)])
    assert terminal.written.count(text) == 3


@pytest.mark.parametrize("text", COMMANDS)
def test_nothing_that_is_printed_commands_the_terminal(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    terminal, printed = a_terminal(monkeypatch), output()
    printed.line(text)
    printed.table(("A", "B"), [(text, "b")])
    printed.say_always(text)
    printed.error(JobNotFound(text, []))
    assert text not in terminal.written
    assert terminal.written.count(COMMANDS[text]) >= 3


def test_only_outcomes_have_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, printed = a_terminal(monkeypatch), output()
    printed.line(printed.mark("failed"))
    printed.table(("A", "B"), [(printed.mark("succeeded"), "well")])
    assert "\x1b[31m✕ failed\x1b[0m" in terminal.written
    assert "\x1b[34m● succeeded\x1b[0m" in terminal.written


def test_a_cell_in_a_pipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output().table(("JOB", "REASON"), [("pay", "one\ntwo")])
    assert capsys.readouterr().out == "JOB\tREASON\npay\tone\\ntwo\n"


def test_nothing_in_a_pipe_has_colour(capsys: pytest.CaptureFixture[str]) -> None:
    red = "\x1b[31mred\x1b[0m"
    printed = output()
    printed.line(red)
    printed.say_always(red)
    printed.table(("A",), [(red,)])
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err


def test_a_table_in_a_pipe_has_a_header_and_tabs_and_nothing_is_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output().table(("JOB", "REASON"), [("pay", "x" * 300), ("pack", "a\tb")])
    assert capsys.readouterr().out == f"JOB\tREASON\npay\t{'x' * 300}\npack\ta b\n"


def test_messages_and_errors_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output().say_unless_quiet("waiting")
    output().error(JobNotFound("pai", ["pay"]))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (
        captured.err
        == "waiting\nerror: no job 'pai'; did you mean 'pay'?\n  hint: `tminus jobs` lists them\n"
    )


def test_quiet_says_only_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    output(quiet=True).say_unless_quiet("waiting")
    assert capsys.readouterr().err == ""


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    output(as_json=True).json([{"job": "grüße"}])
    assert json.loads(capsys.readouterr().out) == [{"job": "grüße"}]


def test_a_terminal_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    ascii_output = output()
    ascii_output.line(f"{ascii_output.mark('succeeded')} +462 µs – grüße …")
    sys.stdout.flush()
    assert written.getvalue() == b"ok succeeded +462 us - gr?e ...\n".replace(b"gr?e", b"gr??e")


@pytest.mark.parametrize(
    ("offset_ns", "expected"), [(1_382_000, "+1.38 ms"), (-2_000, "-2 µs"), (0, "+0 µs"), (None, "")]
)
def test_an_offset_has_a_sign(offset_ns: int | None, expected: str) -> None:
    assert offset(offset_ns) == expected
