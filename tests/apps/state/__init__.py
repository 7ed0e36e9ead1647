"""An application whose views and jobs share state."""
