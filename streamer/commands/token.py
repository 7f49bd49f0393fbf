"""`streamer token`: a secret for clients, and what the settings keep of it."""

from __future__ import annotations

import secrets

from streamer.commands.outcome import Exit
from streamer.network.tokens import hashed

TOKEN_BYTES = 32
"""Too many to guess, which is why a plain digest is enough."""


def token() -> int:
    """Make a token, and the digest that may stand in the settings in its place.

    The digest is for server.token, server.watch_token or server.admin_token, or a line of their files: whoever reads
    the settings has no token then. The token is for the client, and is shown this once.
    """
    made = secrets.token_urlsafe(TOKEN_BYTES)
    print(f"token   {made}\ndigest  {hashed(made)}")  # noqa: T201  # what the command is for
    return Exit.OK
