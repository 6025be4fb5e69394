"""Attempts in; a ledger with one row a call, and recorded costs, out."""
