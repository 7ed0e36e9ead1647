"""An application whose jobs fork."""
