"""Pretrained models: loading, tuning, adapters."""
