"""The errors of libyaml, in the terms of someone who writes a jobs file."""

import re

from tminus.errors import shorten
from tminus.jobsfile.text.decode import Mark, TextProblem

_CRON = re.compile(r"\*[0-9*/,\- \tA-Za-z#]*")
_CANNOT_BEGIN = "found character that cannot start any token"


def explain_yaml_error(
    problem: str, at: Mark, context: str, since: Mark | None, lines: list[str]
) -> TextProblem:
    """
    Return the problem that an error of libyaml means, with a hint.

    Args:
        problem: The sentence of libyaml.
        at: The place where it gave up.
        context: What it was doing, as "while scanning an alias"; may be empty.
        since: The place where that began.
        lines: The lines of the file.
    """
    line = lines[at.line] if at.line < len(lines) else ""
    sign = line[at.column : at.column + 1]
    if sign == "\t" and not line[: at.column].strip() and (problem == _CANNOT_BEGIN or "tab" in problem):
        return TextProblem(at, "tab used for indentation; use spaces", "two spaces a level")
    if "alias" in context and since:
        return _explain_star(since, lines)
    if problem == _CANNOT_BEGIN and sign:
        return TextProblem(at, f"not valid YAML: a value cannot begin with {sign}", "put the value in quotes")
    if "mapping values are not allowed" in problem:
        return TextProblem(
            at,
            "not valid YAML: a colon is not expected here",
            "quote the value, or indent the line like its neighbours",
        )
    if "expected ':'" in problem and since:
        return TextProblem(
            since,
            "not valid YAML: no colon after this key",
            "write key: value, or indent the line like its neighbours",
        )
    if "quoted scalar" in context and since:
        if "end of stream" in problem:
            return TextProblem(
                since,
                "not valid YAML: a quote that is not closed",
                "close it, or double a quote that is meant",
            )
        return TextProblem(
            at,
            "not valid YAML: unknown escape in a quoted text",
            r"write \\ for a backslash, or use single quotes",
        )
    if "flow" in context and since:
        bracket = "]" if "sequence" in context else "}"
        opened = f"the bracket on line {since.line + 1}, column {since.column + 1} is still open"
        return TextProblem(at, f"not valid YAML: expected , or {bracket}", opened)
    if "block" in context:
        return TextProblem(
            at,
            "not valid YAML: expected a key",
            "look for wrong indentation, a missing colon or a bracket too many",
        )
    return TextProblem(at, f"not valid YAML: {problem}", "look at this line and the one before it")


def _explain_star(at: Mark, lines: list[str]) -> TextProblem:
    rest = lines[at.line][at.column :] if at.line < len(lines) else ""
    found = _CRON.match(rest)
    text = found[0].rstrip() if found else "*"
    if len(text.split()) > 1:
        return TextProblem(
            at, "not valid YAML: quote the cron text, a value cannot begin with *", f'write "{shorten(text)}"'
        )
    return TextProblem(at, "not valid YAML: a value cannot begin with *", "put the value in quotes")
