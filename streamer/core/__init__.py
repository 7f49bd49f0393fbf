"""One stream, from samples to committed words: no I/O, no torch, and no clock but the samples it has counted."""
