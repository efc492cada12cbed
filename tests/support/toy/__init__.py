"""A whole modality in four short files: melodies of eight notes in a scale that is asked for."""
