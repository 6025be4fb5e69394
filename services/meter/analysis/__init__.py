"""What the ledger says of how the calls went: figures, and what a person should look at."""
