"""Sequential labelling of a finished batch until it is proven, or not."""
