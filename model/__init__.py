"""Whisper in plain PyTorch. Importing `model` or `model.types` imports no torch."""
