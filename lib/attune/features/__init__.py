"""What could have been known of users and items at a date, and the choices to learn from."""
