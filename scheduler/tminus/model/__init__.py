"""
The terms of the design as frozen values, without I/O.

- **Definitions** (`definitions.py`, `job.py`, `chain.py`, `code_job.py`): one valid version of the jobs file.
  A reload replaces it as a whole. What is running keeps the definitions under which it became due.
- **An occurrence** (`occurrence.py`): one job at one fire time. Its state is queued or claimed, then running,
  then finished; it is finished exactly when it has an outcome, and both are final.
- **A batch** (`batch.py`): the values that pass between planner, ledger and recorder: `DueOccurrence` on the
  way to T, `BatchClaim` for the ownership, then `UnstartedResult` or `OccurrenceResult`.
- **A background run** (`background.py`): `Submission` is what enters the ledger, `RunStatus` what users see.
- **A chain** (`chain.py`): its links, and the value that flows from link to link.

Values are checked when they enter: the jobs file by `jobsfile/`, rows by `ledger/`, messages by the
executors. So nothing here fails, except parsers of texts and `payload.dumps`. Instants are nanoseconds since
the Unix epoch (`…_at_ns`), durations are nanoseconds (`…_ns`).
"""
