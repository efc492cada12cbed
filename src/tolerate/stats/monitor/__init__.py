"""Tests that keep watching a certificate in force."""
