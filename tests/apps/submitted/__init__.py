"""An application whose functions are submitted in the ways that other libraries have."""
