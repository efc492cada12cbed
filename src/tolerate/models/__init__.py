"""Models of pictures and texts, their training, and pretrained models; torch is imported only below this package."""
