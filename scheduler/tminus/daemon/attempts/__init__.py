"""
Attempts: one job becomes a request or a call, and the report on it becomes an outcome in the ledger.

The steps of an attempt: `render.py` puts templates and secrets into the job, and `http_message.py` builds the
parts of the request. An executor runs it. `evaluation.py` compares the report with `expect`, and removes
secrets from the response. `recorder.py` writes the outcome. Meanwhile `in_flight.py` counts the occurrence
for `overlap`, and `undecided.py` keeps the high-water mark before it until its row is durable.

Failures. A job that cannot be rendered is `failed` and not sent; the reason never contains a secret. A file
that its file system does not give in time fails the jobs that need it (`file_reader.py`). An outcome that
cannot be written stays in memory and in the journal (`unwritten.py`), and is retried until it is written,
away from any T. If the ledger refuses its details, it is written without them; if it refuses that, too, the
next start finds the occurrence `unknown`. A second outcome for the same occurrence changes nothing.
"""
