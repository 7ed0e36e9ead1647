"""Applications whose jobs hang, each in its own way."""
