"""The jobs file: from its text to `model.Definitions`, or to every problem in it at once. `load` is the way in."""
