"""An application whose views submit background runs of many kinds."""
