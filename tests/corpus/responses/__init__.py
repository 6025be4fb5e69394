"""Recordings of the Responses API: rebuilt as requests of our contract, read by the official SDK, compared."""
