"""What the pipeline costs, measured as ratios within one run: `make bench`."""
