"""Evidence against certificates in force: reviews, drift, overview, webhooks."""
