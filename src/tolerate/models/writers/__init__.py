"""Models behind one interface that answers prompts: trained here, pretrained, or remote."""
