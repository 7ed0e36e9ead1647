"""
The texts of the jobs file: plain text, `{{ … }}` and `${…}`.

`texts` splits a text of the file once, into text, references and expressions. When the file is read, `check`
reports what is wrong: syntax, unknown names, filters, parameters and calendars. When a job is armed, `render`
puts in the values. A text that is a single expression keeps the type of its value. The result is never parsed
again, so neither a secret nor a parameter can smuggle in an expression.

`expressions` evaluates an expression with Jinja. Calls are not allowed, and texts and numbers are bounded,
so no expression runs for long or fills the memory. The parsed tree is checked first; Jinja's sandbox is the
second line of defence.

A text that cannot be rendered raises `RenderError`: its job fails with cause `definition` and is not sent.
The message never contains the value of a reference.
"""

from tminus.templates.texts import Reference, blanked, calendars_in, check, has_parts, references, render
from tminus.templates.values import RenderError, TextFault, as_text, context

__all__ = [
    "Reference",
    "RenderError",
    "TextFault",
    "as_text",
    "blanked",
    "calendars_in",
    "check",
    "context",
    "has_parts",
    "references",
    "render",
]
