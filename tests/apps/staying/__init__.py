"""An application whose threads stay."""
