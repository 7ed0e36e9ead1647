"""
The release: parties inside one process arm, meet at one Barrier, and start at T. Standard library only.

A `ShardRun` has a Barrier and a thread per party: a lane, or a Python job. Each party goes through these
states:

- **Arming**, after `ShardRun.start`. When the party is ready or broken, or at its deadline, it goes to the
  Barrier.
- **Held**: the last party at the Barrier runs the `Hold` for all. With a permit they wait for T. If they are
  withdrawn, or no permit comes in time, they stand down.
- **Started** at T, one after another. At T + 4 ms all that are left start at once.
- **Ended**: it has reported, whatever happened.

Failures. A party that raises while it arms still goes to the Barrier, because an absent party would block the
others. It reports its error and ends alone. If a party hangs while it arms, another thread waits at the
Barrier in its place. A party without a thread is left out. If the hold itself raises, no party starts, and
each reports that error. A process that was paused through T wakes up late, so each party compares
`released_at_ns` with its latest start.

`gate.py` keeps other shards of the process from arming around a T, `latch.py` passes the turn on,
`priority.py` asks the kernel for the core.
"""
