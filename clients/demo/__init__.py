"""Something to hear without a microphone: recordings where there are some, else a synthesised clip."""
