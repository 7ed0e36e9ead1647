"""The HTTP executor: a process with nothing in it but lanes. Start it with `python -m scheduler.executors.http`."""
