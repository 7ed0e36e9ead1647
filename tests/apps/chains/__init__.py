"""An application whose functions start, follow and break chains."""
