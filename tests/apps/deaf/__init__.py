"""Two applications beside the requests of a batch."""
