"""
The texts of the jobs file: plain text, `{{ … }}` and `${…}`, checked when the file is read and rendered when a job is armed.

Each text is taken apart once, as it stands in the file. What an expression or a reference yields is put in as it is and never
looked at again, so that neither can smuggle in the other.
"""

from scheduler.templates.texts import Reference, blanked, check, has_parts, references, render
from scheduler.templates.values import RenderError, TextFault, as_text, context

__all__ = ["Reference", "RenderError", "TextFault", "as_text", "blanked", "check", "context", "has_parts", "references", "render"]
