"""Tables of labelled items, their partitions, and readers of picture files."""
