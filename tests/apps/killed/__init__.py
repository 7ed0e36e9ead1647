"""An application whose background runs go on while the daemon is killed."""
