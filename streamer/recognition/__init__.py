"""The device and who uses it: requests of all streams become batches, in turns, within what the load allows."""
