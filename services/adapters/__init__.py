"""Calls come in, one provider is asked once, and the attempt goes out, with deltas on the way."""
