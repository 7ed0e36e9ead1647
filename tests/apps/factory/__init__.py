"""An application that a factory makes."""
