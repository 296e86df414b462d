"""Scoring: one engine that applies a stored model to the texts of a table."""
