"""Which SQL databases Headrace keeps things in, how each is opened, and how many small writes become few."""
