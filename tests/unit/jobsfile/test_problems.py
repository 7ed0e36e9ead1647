"""A problem as a person and as a program reads it."""

from textwrap import dedent

import pytest

from tminus.jobsfile.text.masking import is_plain_secret, is_secret_key, mask_line, mask_part, mask_url
from tminus.jobsfile.text.problems import Problem, Role, Severity, plain, render


def test_as_a_person_reads_it() -> None:
    problem = Problem(
        path="jobs.yaml",
        line=8,
        column=7,
        length=5,
        message="jobs.sync.http: unknown key 'metod'",
        hint="did you mean method?",
        source="      metod: POST",
    )
    assert plain(problem) == dedent("""\
        error: jobs.sync.http: unknown key 'metod'
         --> jobs.yaml:8:7
          |
        8 |       metod: POST
          |       ^^^^^
          = help: did you mean method?
        """)
    assert str(problem) == "jobs.yaml:8:7: jobs.sync.http: unknown key 'metod'"


def test_as_a_program_reads_it() -> None:
    problem = Problem(path="jobs.yaml", line=8, column=7, message="no url", hint="write url:", source="x")
    assert problem.as_json() == {
        "path": "jobs.yaml",
        "line": 8,
        "column": 7,
        "message": "no url",
        "hint": "write url:",
    }


def test_the_pieces_say_what_they_are() -> None:
    problem = Problem(
        path="jobs.yaml",
        line=12,
        message="no url",
        hint="write url:",
        severity=Severity.WARNING,
        source="a: b",
    )
    assert [role for role, _ in render(problem)] == [
        Role.WARNING, Role.MESSAGE, Role.GUTTER, Role.PLACE, Role.GUTTER, Role.SOURCE, Role.GUTTER, Role.CARET,
        Role.GUTTER, Role.HINT,
    ]  # fmt: skip


def test_a_file_without_a_line_to_show() -> None:
    problem = Problem(path="jobs.yaml", message="cannot read jobs.yaml: no such file", hint="name it with -c")
    assert (
        plain(problem)
        == "error: cannot read jobs.yaml: no such file\n --> jobs.yaml:1:1\n  = help: name it with -c\n"
    )


def caret_line(source: str, column: int, length: int = 1) -> tuple[str, str]:
    lines = plain(
        Problem(path="x", column=column, length=length, message="m", hint="h", source=source)
    ).splitlines()
    return lines[3][4:], lines[4][4:]


def test_a_tab_is_shown_as_an_arrow() -> None:
    assert caret_line("\tb: 1", 2) == ("→b: 1", " ^")


def test_wide_and_combining_characters_keep_the_caret_in_place() -> None:
    assert caret_line("日本: x", 5) == ("日本: x", "      ^")
    assert caret_line("日本: x", 1, 2) == ("日本: x", "^^^^")
    assert caret_line("a\u0301: x", 5) == (
        "a\ufffd: x" if not "\u0301".isprintable() else "a\u0301: x",
        "   ^",
    )


def test_a_long_line_is_cut_around_the_place() -> None:
    shown, caret = caret_line("x" * 1_000 + "HERE" + "y" * 1_000, 1_001, 4)
    assert shown[caret.index("^") :].startswith("HERE")
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) == 122


def test_the_end_of_a_long_line() -> None:
    shown, caret = caret_line("x" * 1_000, 1_001)
    assert shown.startswith("…x")
    assert len(caret) == len(shown) + 1


def test_nothing_reaches_the_terminal_as_more_than_text() -> None:
    bad = "\x1b[31m\u202e\x9b"
    problem = Problem(path=f"{bad}.yaml", message=f"no {bad}", hint=f"not {bad}", source=f"a: {bad}")
    assert all(sign.isprintable() or sign == "\n" for sign in plain(problem))
    assert problem.message == r"no \x1b[31m\u202e\x9b"


SECRET = [
    "password",
    "db_password",
    "Authorization",
    "X-Api-Key",
    "client_secret",
    "token",
    "PRIVATE_KEY",
    "Cookie",
    "passphrase",
]
NO_SECRET = [
    "Accept",
    "token_url",
    "tokens_file",
    "secret-id",
    "max_tokens",
    "passenger",
    "monkey",
    "key",
    "cookies",
]


@pytest.mark.parametrize("key", SECRET)
def test_keys_that_hold_secrets(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize("key", NO_SECRET)
def test_keys_that_hold_none(key: str) -> None:
    assert not is_secret_key(key)


@pytest.mark.parametrize(
    "value", ["${env:TOKEN}", "Bearer ${file:token}", "{{ params.x }}", "", None, 5, True]
)
def test_values_that_are_not_secrets_in_plain_text(value: object) -> None:
    assert not is_plain_secret("password", value)


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("  password: hunter2", "  password: *******"),
        ('  "password": "hun ter2" # why', '  "password": "*** ****" # why'),
        ("{'password':'hunter2', a: b}", "{'password':'*******', a: b}"),
        ("{password: hunter2, a: b}", "{password: *******, a: b}"),
        ("  password: hunter2, really", "  password: ******** ******"),
        ("{a: {token: x}, b: y}", "{a: {token: *}, b: y}"),
        ("tokens: [a, b]", "tokens: *** **"),
        ("password: |", "password: |"),
        ("password: >-2 # folded", "password: >-2 # folded"),
        ("password: |hunter2", "password: ********"),
        ('password: "hun\\"ter2" # why', 'password: "****"****" # why'),
        ("{password: 'hun''ter2', a: b}", "{password: '***''****', a: b}"),
        ("{password: !!str 'a, b', c: d}", "{password: ***** '** *'* ** **"),
        ("password: ${env:X}", "password: ${env:X}"),
        ('Authorization: "Bearer hunter2', 'Authorization: "****** *******'),
        ("url: https://anna:hunter2@a.example/x", "url: https://************@a.example/x"),
        ("ledger: postgresql://anna:top@hunter2@c/d", "ledger: postgresql://****************@c/d"),
        ("url: https://a.example/x?mail=anna@b.example", "url: https://a.example/x?mail=anna@b.example"),
        ("url: https://${env:A}:${env:B}@a.example/x", "url: https://${env:A}:${env:B}@a.example/x"),
        ("a: b", "a: b"),
    ],
)
def test_a_line_with_secrets(line: str, masked: str) -> None:
    assert mask_line(line) == masked
    assert len(mask_line(line)) == len(line)


def test_a_part_of_a_line() -> None:
    assert mask_part("a: 'b c' d", 4, 5) == "a: '* *' d"


def test_a_url() -> None:
    assert mask_url("postgresql://a:b@c/d") == "postgresql://***@c/d"
    assert mask_url("postgresql://a:b@b@c/d") == "postgresql://***@c/d"
    assert mask_url("postgresql://a:${env:B}@c/d") == "postgresql://a:${env:B}@c/d"
