"""Wire protocols: each turns messages into commands and events into messages, and knows nothing else."""
