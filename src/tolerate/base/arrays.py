"""Types of NumPy arrays that every package uses, defined once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Contents = NDArray[Any]  # [n, ...] generated items of any modality, one row an item
Arrays = dict[str, NDArray[Any]]  # the named arrays of one npz file
