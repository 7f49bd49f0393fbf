"""Tokens and the text they stand for."""
