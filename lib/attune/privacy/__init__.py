"""Erasing people from a workspace, and the proof that nothing of them is left in it."""
