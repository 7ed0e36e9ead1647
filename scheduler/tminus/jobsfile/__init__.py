"""
The jobs file: from its text to `model.Definitions`, or to every problem in it at once.

`load` is the entry point. `JobsFile` reads the file and its includes, and `JobsFile.load` builds the jobs, in
these steps:

1. `text` reads bytes as UTF-8 and YAML 1.2, and remembers the place of each value.
2. `jobs.sections` collects the sections of all files. `text.merge` merges a job with its templates and the
   defaults.
3. `jobs.schema` defines the keys of each map. `types` defines the values of each key and their meaning.
4. `jobs.build` checks what no single key can show (targets, chains, names of other jobs), and makes
   `model.Job`.

An error never stops the check. It is a `Fault` with the path of its key as long as its place is unknown.
`text.report` finds the file, the line and the column, and makes it a `Problem`. The valid part of a value
goes on to the next step. A file that is not UTF-8 or not YAML has that error only. An unexpected exception
becomes a problem, too (`text.unexpected_errors`).
"""
