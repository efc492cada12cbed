"""The decision about each answer: binding, scores, masking, release or hold."""
