"""The services: each one is a decision, with a message in and a message out."""
