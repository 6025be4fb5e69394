"""Kills: services and the server die in the middle of everything, and nothing accepted is lost."""
