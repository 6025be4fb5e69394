"""The judge of Google's generateContent and embeddings: what was asked, what was said, whether it was asked again."""
