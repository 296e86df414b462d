"""Training: one loop for all tasks, over one or several ranks."""
