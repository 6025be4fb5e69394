"""`make demo`: the whole pipeline on a real model, every outcome checked."""
