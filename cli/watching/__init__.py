"""What `headrace watch` hears, reads and shows."""
