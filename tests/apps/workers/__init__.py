"""An application for any number of web workers."""
