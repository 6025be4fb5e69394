"""A step between request and wire that says which beginning of a prompt is stable; a file for each way in which providers want to be told."""
