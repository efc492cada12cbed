"""Statistics of the promise: bounds, tests and plans on labelled samples. NumPy and SciPy only; no files, no output.

The packages are `certify`, `audit`, `compare` and `monitor`; the functions that most programs need are public names of
`tolerate` itself.
"""
