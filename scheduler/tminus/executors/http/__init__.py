"""
The HTTP executor: a process that starts many requests at one instant. Nothing else runs in it, because a busy
Python thread would keep the lanes from the GIL at T. Started with `python -m tminus.executors.http`.

Lanes run the shard of an `Arm`, each on a thread of its own (`lane.py`). A lane spreads its requests over
many small CurlMultis. A request goes through these states:

- **Waiting** for a connection, if the lane may have no more of them. It starts unarmed when another request
  ends.
- **Priming**: `arming.py` opens its connection with a primer. If that fails, it tries again while there is
  time.
- **Armed**, or unarmed if the deadline came first. Its handle is in a multi that nobody runs before T. If the
  request is withdrawn, the handle is closed and nothing is sent.
- **Started** by `perform` at T. libcurl, a callback or `timeout.first_byte` ends it.
- **Reported**, exactly once.

Failures. If a server gives up a connection before T, the connection is primed again. If only the last check
finds this, the request uses a new connection at T. An error in a step of one request ends that request alone:
`unknown` if it may have left, otherwise `failed` and not sent (`results.py`). An error in a command fails the
requests of its shard. A command that cannot be read ends the process, and the daemon starts another one. If
no `Release` comes in time, nothing is sent. If the daemon dies, its pipe ends, and this process ends too.

`primer.py`, `transfer_group.py` and `request.py` rely on undocumented behaviour of libcurl. Tests in
`tests/integration/executors` pin it.
"""
