"""Other streaming systems, on the same weights and the same audio, each driven by its own classes in virtual time.

None of their code is here. A person who wants them fetches them, see docs/benchmarks.md.
"""
