"""OpenAI's Responses API: what it answers is a list of items, and so is what it is asked."""
