"""A job from data to report."""
