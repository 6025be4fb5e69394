"""Requests, failed attempts, verdicts and cancels come in; calls and terminal results go out."""
