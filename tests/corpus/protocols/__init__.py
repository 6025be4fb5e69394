"""One module a wire protocol: what a recording says, worked out without the adapters' code."""
