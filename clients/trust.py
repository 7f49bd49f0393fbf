"""Whom a client trusts when a server shows its certificate."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def trust(url: str, ca_file: Path | None) -> dict[str, Any]:
    """Return what `websockets.connect` must be told: for wss, a context with the authorities of `ca_file` (PEM).

    Without a file these are the system's, or those of the environment variable SSL_CERT_FILE, as OpenSSL reads it.

    Raises ValueError for a file that cannot be used, or one that a ws:// address has no use for.
    """
    if urlsplit(url).scheme != "wss":
        if ca_file is not None:
            raise ValueError("an authority's file is of use with a wss:// address only")
        return {}
    try:
        return {"ssl": ssl.create_default_context(cafile=ca_file)}
    except ssl.SSLError:
        raise ValueError(f"{ca_file} holds no certificate in PEM") from None
    except OSError as error:
        raise ValueError(f"{ca_file} cannot be read: {error.strerror}") from None
