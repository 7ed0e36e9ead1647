"""How simultaneous is a batch? Measured on the wire, against peers and against the limit, in one run. Never a test."""
