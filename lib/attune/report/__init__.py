"""The report: small aggregates of the tables, collected once, drawn as one self-contained page."""
