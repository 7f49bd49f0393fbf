"""Certificates for tests: an authority that nobody else trusts, and what it issues."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Papers:
    """Files of one certificate for 127.0.0.1 and localhost."""

    certificate: Path
    key: Path
    authority: Path

    def client(self) -> ssl.SSLContext:
        """Return what a client needs that trusts the authority."""
        return ssl.create_default_context(cafile=self.authority)


def issue(folder: Path, authority: trustme.CA, name: str = "server") -> Papers:
    """Write a certificate, its key and its authority."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    papers = Papers(folder / f"{name}.pem", folder / f"{name}.key", folder / "authority.pem")
    papers.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    papers.key.write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(papers.authority)
    return papers
