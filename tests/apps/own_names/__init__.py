"""An application with a module `scheduler`, and blueprints `scheduler` and `tminus`, of its own."""
