"""The words of the design as frozen values; no I/O, no behaviour beyond their own shape."""
