"""Jobs that make pictures."""
