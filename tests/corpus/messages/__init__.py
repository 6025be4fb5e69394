"""Anthropic's Messages API: what recordings ask and say, by Anthropic's own SDK."""
