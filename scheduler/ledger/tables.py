"""
The tables; a promise about data is a constraint.

The migrations make them. So the conditions of indexes are only there: here they would import the dialects of all databases.

Times are nanoseconds since the Unix epoch, wall clock; durations nanoseconds.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

#: A hundred rows a second fill 32 bits in eight months; SQLite's INTEGER has 64 anyway, and must be called that to count up.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

#: The newest migration; a ledger that says otherwise is migrated, or refused where it is newer.
SCHEMA = "0006"

#: Who has opened the ledger to run jobs: daemons, and `run-now` without one. `decided_until_ns` is the high-water mark of a
#: daemon: each fire time of each schedule up to here has a row. It concerns the schedules that the ledger had when it was set.
instances = Table(
    "instances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("config_version", Text),
    Column("config_error", Text),
    Column("started_ns", BigInteger, nullable=False),
    Column("beat_ns", BigInteger, nullable=False),
    Column("decided_until_ns", BigInteger),
    Column("stopped_ns", BigInteger),
)

#: The text of each version of the jobs, `${…}` unexpanded.
configs = Table(
    "configs",
    metadata,
    Column("version", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("first_seen_ns", BigInteger, nullable=False),
    Column("last_seen_ns", BigInteger, nullable=False),
)

#: What a job owes: the instants of this schedule from when a daemon first saw it until it was gone. Each fire time up to
#: `decided_until_ns` has a row; which later ones have one, the rows say. `schedule` is a canonical text; empty if not known.
schedules = Table(
    "schedules",
    metadata,
    Column("job", Text, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger),
    Column("decided_until_ns", BigInteger, nullable=False),
    Column("schedule", Text, nullable=False),
    PrimaryKeyConstraint("job", "since_ns"),
)

#: One row per claim of a batch. `releasing_ns` is set before T: from then on an occurrence of it may have been sent. `token` is
#: what a claim whose commit raised finds its own row by.
releases = Table(
    "releases",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("planned_at_ns", BigInteger, nullable=False),
    Column("instance", Text, ForeignKey("instances.id"), nullable=False),
    Column("releasing_ns", BigInteger),
    Column("token", Text),
    sqlite_autoincrement=True,
)
Index("releases_by_token", releases.c.token, unique=True)

occurrences = Table(
    "occurrences",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("job", Text, nullable=False),
    Column("fire_time_ns", BigInteger, nullable=False),
    Column("run", Integer, nullable=False),
    Column("planned_at_ns", BigInteger, nullable=False),
    Column("origin", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("config_version", Text, nullable=False),
    Column("retry_of", Text),
    Column("count", Integer, nullable=False, default=1),
    Column("covers_until_ns", BigInteger),
    Column("release", _NUMBER, ForeignKey("releases.number")),
    Column("request", Text, ForeignKey("requests.id")),
    Column("outcome", Text),
    Column("reason", Text),
    Column("started_at_ns", BigInteger),
    Column("finished_at_ns", BigInteger),
    Column("duration_ns", BigInteger),
    Column("armed", Boolean),
    Column("attempts", Integer, nullable=False, default=0),
    Column("http_status", Integer),
    Column("executor", Text),
    UniqueConstraint("job", "fire_time_ns", "run", name="one_owner_per_occurrence"),
)
Index("occurrences_by_batch", occurrences.c.planned_at_ns)
Index("occurrences_by_release", occurrences.c.release)
Index("occurrences_by_request", occurrences.c.request)
Index("occurrences_without_outcome", occurrences.c.state)  # of these alone: the condition is in its migration
#: A row with a count stands for all fire times from its own up to `covers_until_ns`. No other row is in the index.
Index("occurrences_with_count", occurrences.c.covers_until_ns)

attempts = Table(
    "attempts",
    metadata,
    Column("occurrence", _NUMBER, ForeignKey("occurrences.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at_ns", BigInteger),
    Column("finished_at_ns", BigInteger, nullable=False),
    Column("duration_ns", BigInteger, nullable=False),
    Column("armed", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("http_status", Integer),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("body_size", BigInteger, nullable=False),
    Column("output", LargeBinary),
    PrimaryKeyConstraint("occurrence", "attempt"),
)

#: What follows a run, link by link.
links = Table(
    "links",
    metadata,
    Column("occurrence", _NUMBER, ForeignKey("occurrences.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("link", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("started_at_ns", BigInteger),
    Column("finished_at_ns", BigInteger),
    Column("output", LargeBinary),
    PrimaryKeyConstraint("occurrence", "position"),
)

#: The chains that have not ended: what flows into the next link, as JSON.
chains = Table(
    "chains",
    metadata,
    Column("occurrence", _NUMBER, ForeignKey("occurrences.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("failure", Boolean, nullable=False),
    Column("value", Text, nullable=False),
)

#: Work that an application has handed over: one row an occurrence with origin `background`. `given` is what only the run itself
#: needs, its arguments and the copy of a request; it goes when the run ends.
runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("occurrence", _NUMBER, ForeignKey("occurrences.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("app", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("given", Text),
    Column("progress", Float),
    Column("progress_text", Text),
    Column("result", Text),
)

#: The applications whose work a daemon does.
apps = Table("apps", metadata, Column("name", Text, primary_key=True))

#: What an application's processes share: JSON, its keys in order. What is not there is None, and None is not there.
state = Table(
    "state",
    metadata,
    Column("app", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("app", "name"),
)

#: What others ask of the daemon; one that no daemon took may be withdrawn by who asked.
requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("taken_by", Text, ForeignKey("instances.id")),
    Column("answer", Text),
    Column("withdrawn_ns", BigInteger),
)
Index("requests_not_taken", requests.c.created_ns)  # of these alone: the condition is in its migration
