"""The embedded demo model: a trained Whisper of two million parameters, its vocabulary, and how both were made."""
