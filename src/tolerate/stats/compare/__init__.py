"""Comparison of strategies: the cheapest at a tolerance, with promises that hold together."""
