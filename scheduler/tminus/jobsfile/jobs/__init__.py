"""Jobs: from the sections of the files to `model.Definitions`."""
