"""The daemon's certificate: checked at the start, shown to who connects, and read again when its files change."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Self

from streamer.config import ConfigError, ServerConfig

logger = logging.getLogger(__name__)

CHECK_S = 1.0
"""Between looks at the files. A change counts when it has rested for one look: certificate and key are two files."""


class Certificate:
    """A certificate with its key, and the context that shows it; new connections are shown what was read last."""

    def __init__(self, certificate: Path, key: Path | None) -> None:
        """Read PEM files; the key may be in the certificate's. Raises ConfigError for a pair that cannot be used."""
        self._certificate = certificate
        self._key = key
        self._found = self._state()  # before the reading: a change that comes while the model is warmed up counts
        self._shown = self._read()
        self.context = self._read()
        """For the listening sockets."""
        # Files that do not fit together would spoil a context that is in use, so each reading makes its own, and this
        # hook, which OpenSSL calls in every handshake, with a server name or without one, picks the newest.
        self.context.sni_callback = self._choose

    @classmethod
    def of(cls, config: ServerConfig) -> Self | None:
        """Return what the settings say, None for a daemon without TLS. Raises ConfigError."""
        if config.tls_certificate is not None:
            return cls(config.tls_certificate, config.tls_key)
        if config.tls_key is not None:
            raise ConfigError(f"server.tls_key is {config.tls_key}, but server.tls_certificate is not set")
        return None

    def reload(self) -> None:
        """Read the files again; what cannot be used is logged, and the certificate before stays."""
        try:
            self._shown = self._read()
        except ConfigError as error:
            logger.error("the certificate before stays: %s", error)  # noqa: TRY400  # the traceback would be ours
        else:
            logger.info("certificate read again", extra={"certificate": str(self._certificate)})

    async def watch(self) -> None:
        """Reload whenever the files have changed; run for ever."""
        read = seen = self._found
        while True:
            await asyncio.sleep(CHECK_S)
            now = self._state()
            if now == seen != read:
                read = now
                self.reload()
            seen = now

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._shown

    def _state(self) -> tuple[object, ...]:
        return tuple(identity(path) for path in (self._certificate, self._key) if path is not None)

    def _read(self) -> ssl.SSLContext:
        for name, path in (("tls_certificate", self._certificate), ("tls_key", self._key)):
            if path is not None:
                check_readable(f"server.{name}", path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])  # clients that offer HTTP/2 first learn that it is not spoken
        try:
            context.load_cert_chain(self._certificate, self._key, password=self._no_passphrase)
        except ssl.SSLError as error:
            raise ConfigError(self._complaint(error)) from None
        except OSError as error:  # they were there a moment ago
            raise ConfigError(f"{self._pair()} cannot be read: {error.strerror}") from None
        return context

    def _no_passphrase(self) -> str:
        raise ConfigError(f"server.tls_key {self._key or self._certificate} is encrypted; nobody is here to be asked")

    def _pair(self) -> str:
        pair = f"server.tls_certificate {self._certificate}"
        return pair + (f" and server.tls_key {self._key}" if self._key else " (server.tls_key is not set)")

    def _complaint(self, error: ssl.SSLError) -> str:
        pair = self._pair()
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{pair} do not belong together"
        return f"{pair} must hold a certificate and its private key, in PEM: {error.reason or error}"


def check_readable(setting: str, path: Path) -> None:
    """Raise ConfigError for a file that cannot be read; OpenSSL would not say which."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{setting} {path} cannot be read: {error.strerror}") from None


def identity(path: Path) -> tuple[int, int, int] | None:
    """Return what differs between two versions of a file, None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
