"""The AsyncAPI document of the bus, generated from subjects, streams and contracts."""
