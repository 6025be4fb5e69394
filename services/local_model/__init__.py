"""A real small model and real embeddings behind one OpenAI-compatible base URL, so that everything runs without a key."""
