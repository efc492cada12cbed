"""A plan for one person: evidence, advice, moves."""
