"""Drafts of texts: what writers learn from, the candidates they write, and the scores that rank them."""
