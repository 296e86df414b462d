"""attune: personalised marketing from click logs and reviews, on Spark."""

__version__ = "0.1.0"
