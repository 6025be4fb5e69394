"""Documents and succeeded results in; answers to searches, for each tenant of its own, out."""
