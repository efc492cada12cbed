"""The promise: bounds, tests and plans on labelled samples. NumPy and SciPy only; reads no file, prints nothing.

The packages are `certify`, `audit`, `compare` and `monitor`; the functions that most programs need are public names of
`tolerate` itself.
"""
