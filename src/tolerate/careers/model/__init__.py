"""Estimates about occupations and tasks: severity, tolerances and choices, relatedness, flows, learning paths."""
