"""Decoding by search: everything between one forward pass and `generate`."""
