"""Traces and logs: what an SRE reads."""
