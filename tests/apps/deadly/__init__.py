"""An application whose background runs end their process."""
