"""Raw logs to typed tables; a row is kept, refused with its reasons, or dropped as a duplicate."""
