"""Clients of servers with the OpenAI wire format, names of models, judges by rubric; no torch."""
