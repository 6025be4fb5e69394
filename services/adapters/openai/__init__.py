"""The OpenAI chat-completions and embeddings wire protocol, as dozens of servers speak it."""
