"""The largest part of a population that may be released."""
