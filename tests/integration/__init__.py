"""Headrace from outside: a real server, services as processes, plain nats-py."""
