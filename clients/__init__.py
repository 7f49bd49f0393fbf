"""Clients of the daemon: the native protocol from the other side, microphone, files, captions in a terminal."""
