"""Recorded provider traffic as the judge of the adapters: `make corpus`."""
