"""The command line `headrace`: one module a group of commands."""
