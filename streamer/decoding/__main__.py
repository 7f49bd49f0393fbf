"""A decoder of the daemon: libsndfile."""

from __future__ import annotations

from streamer.decoding.host import main

if __name__ == "__main__":
    main()
