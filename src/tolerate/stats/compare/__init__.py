"""Which of several strategies is the cheapest at a tolerance."""
