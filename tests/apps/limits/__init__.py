"""An application that submits long and deep arguments."""
