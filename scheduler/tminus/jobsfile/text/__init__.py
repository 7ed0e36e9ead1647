"""The text of a jobs file: each value is read with its place, and each problem reported there."""
