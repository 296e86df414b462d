"""How long things stay in a workspace: old versions of tables, rows, runs, models, checkpoints."""
