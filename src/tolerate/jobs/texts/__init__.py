"""Jobs that make texts."""
