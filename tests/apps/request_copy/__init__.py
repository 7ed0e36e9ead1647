"""An application that shows all of a request."""
