"""The daemon's own microphone, as a connection sees it: a client without a socket."""
