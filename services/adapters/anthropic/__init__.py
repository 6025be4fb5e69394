"""The Anthropic Messages wire protocol, asked through Anthropic's own SDK."""
