"""One thin file a job; each ends in a ``Job`` named like the file."""
