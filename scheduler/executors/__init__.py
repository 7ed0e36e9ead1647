"""The processes that take a shard, arm it, release it at T and report: `http` has lanes and nothing else."""
