"""An application with a target of each kind."""
