"""What somebody would write instead, each a program of its own: N requests at T, nothing else in the process."""
