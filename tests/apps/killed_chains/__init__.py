"""Functions of chains that go on while the daemon is killed."""
