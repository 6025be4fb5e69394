"""The index's tables, numbered: a released file is never changed, the next number mends it."""
