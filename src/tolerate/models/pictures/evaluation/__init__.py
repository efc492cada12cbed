"""Networks and metrics that evaluate pictures."""
