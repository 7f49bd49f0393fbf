"""Sockets and protocols of transport: who may come in, how much of each is taken at once, and what they find."""
