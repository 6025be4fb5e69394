"""How recordings of OpenAI's chat completions and embeddings, and of what speaks like them, are judged."""
