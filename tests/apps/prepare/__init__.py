"""An application whose functions change HTTP requests before they are sent."""
