"""Programs for developing tminus."""
