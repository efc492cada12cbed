"""What is estimated about occupations and tasks: severity, relatedness, flows, paths."""
