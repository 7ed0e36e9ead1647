"""An application with a module `tminus` of its own."""
