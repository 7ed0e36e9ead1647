"""Applications that tests serve, run and copy: each folder is one, and its modules import one another by their own names."""
