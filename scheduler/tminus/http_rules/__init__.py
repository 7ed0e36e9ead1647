"""
The rules for HTTP requests: which methods, header names, header values, paths and URLs are valid.

The rules apply twice: to the jobs file when it is read, and to each request when it is rendered, because the
values of templates and secrets are known only then. `syntax` has the rules for the parts of a message (RFC
9110), and `urls` has those for a URL (RFC 3986).

A text that breaks a rule raises `syntax.InvalidSyntax`, with a sentence, a hint and the place in the text.
The jobs file turns it into a problem with line and column. The renderer turns it into the reason of an
occurrence that fails and is not sent.
"""
