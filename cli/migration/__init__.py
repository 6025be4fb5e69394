"""A configuration of version 1, or of its environment variables, as one of version 2."""
