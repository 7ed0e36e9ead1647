"""
Secrets: `${env:NAME}` and `${file:PATH}`, and the files that users name.

A reference is text in the jobs file. `validate` checks whether it can be resolved, and forgets the value. The
daemon resolves it when a job is armed (`references`), so the next run uses a new value. No value is ever in
the ledger, in a message or in a log. What a run prints or receives is redacted by the values that this run
has used.

`files` reads a file that a user names: regular files only, up to a limit, without waiting for a FIFO. A file
with a secret must be closed to its group and to others, as with mode 0600 or 0400. `redaction` puts stars in
the place of secrets. `signing_key` has the key that signs webhooks.

If a reference cannot be resolved, `Unresolved` says why and how to correct it: the job fails with cause
`definition` and is not sent. If a file system does not answer, the wait ends, and only the jobs that need
that file fail.
"""
