"""Measures of ranked lists, and how far they can be trusted."""
