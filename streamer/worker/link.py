"""The child's end of the connection: blocking, as the child has nothing else to do."""

from __future__ import annotations

import socket
import threading

from msgspec import msgpack

from streamer.processes.children import leave
from streamer.processes.framing import HEADER, framed
from streamer.worker.block import Block
from streamer.worker.messages import ToChild, ToParent


class Link:
    """Receives on one thread; sends from any."""

    def __init__(self, connection: socket.socket, block: Block) -> None:
        """Take over a connected socket."""
        self._connection = connection
        self._incoming = connection.makefile("rb")
        self._encode = msgpack.Encoder(enc_hook=str).encode
        self._decode = msgpack.Decoder(ToChild, dec_hook=block.take).decode
        self._sending = threading.Lock()

    def receive(self) -> ToChild | None:
        """Wait for a message; None at the end. The samples of a batch are copied out of the block."""
        try:
            header = self._incoming.read(HEADER.size)
            if len(header) < HEADER.size:
                return None
            message: ToChild = self._decode(self._incoming.read(*HEADER.unpack(header)))
        except ConnectionError:
            return None
        return message

    def send(self, message: ToParent) -> None:
        """Send a message. If nobody is there to read it, end this process: an orphan does nobody any good."""
        data = framed(self._encode(message))
        try:
            with self._sending:
                self._connection.sendall(data)
        except OSError:
            leave()
