"""Windows of sound to hypotheses: many at once, with drafts, guards and word times."""
