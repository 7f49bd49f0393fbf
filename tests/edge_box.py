"""Run the commands of docs/edge-box.md in a fresh Debian: `python -m tests.edge_box --root FOLDER`, as root.

The folder is made by debootstrap if it is not there, and kept. The blocks marked `sh` are run in their order, each by
a shell that stops at the first error. In a root there is no systemd that runs, so what would start the service is not
among them; enabling it is, and so is running the program as the unit would, without a network.

`--share PATH` shows a file or folder of this machine at the same place in the root: a package index's settings, say.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

TREE = Path(__file__).parents[1]
GUIDE = TREE / "docs" / "edge-box.md"
SOURCE = "opt/streamer/source"
SUITES = ("trixie", "bookworm")
"""Debian 13 and 12."""
PACKAGES = "ca-certificates,systemd,systemd-sysv,udev,iproute2"
"""What an installed Debian has, and the smallest root has not."""


def blocks(text: str, language: str = "sh") -> list[str]:
    """Return the code blocks of a language in a Markdown text."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def make_root(root: Path, suite: str, mirror: str) -> None:
    """Install the smallest Debian in a folder, unless it is there."""
    if not (root / "etc" / "debian_version").exists():
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(root), mirror]
        subprocess.run([argument for argument in command if argument], check=True)


def copy_tree(root: Path) -> None:
    """Put the committed tree where the guide says it is."""
    (root / SOURCE).mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(["git", "-C", TREE, "archive", "HEAD"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "--extract", "--directory", root / SOURCE], check=True, input=packed)


@contextmanager
def mounted(root: Path, shared: Sequence[Path]) -> Iterator[None]:
    """Give the root /proc, /sys, /dev and what is shared, as long as it is used."""
    with ExitStack() as stack:
        for path in (Path("/proc"), Path("/sys"), Path("/dev"), *shared):
            target = root / path.relative_to("/")
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
            subprocess.run(["mount", "--rbind", path, target], check=True)
            subprocess.run(["mount", "--make-rslave", target], check=True)  # or unmounting would reach this machine's
            stack.callback(subprocess.run, ["umount", "--recursive", "--lazy", target], check=True)
        yield


def run_block(root: Path, block: str, environment: dict[str, str]) -> None:
    """Run one block in the root. Raises CalledProcessError if any command of it fails."""
    shell = ["chroot", str(root), "/bin/bash", "-eu", "-o", "pipefail", "-c", block]
    subprocess.run(shell, check=True, env=environment, stdin=subprocess.DEVNULL)


def main() -> None:
    """Run the guide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of the test root")
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0], help="release of Debian, for a new root")
    parser.add_argument("--mirror", default="", help="Debian mirror; empty for debootstrap's own")
    parser.add_argument("--share", type=Path, nargs="*", default=[], help="paths of this machine that it sees too")
    given = parser.parse_args()
    root = given.root.resolve()
    make_root(root, given.suite, given.mirror)
    copy_tree(root)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    environment |= {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    with mounted(root, given.share):
        for number, block in enumerate(blocks(GUIDE.read_text()), start=1):
            print(f"--- block {number}\n{block}", flush=True)
            began = time.monotonic()
            run_block(root, block, environment)
            print(f"--- block {number}: done in {time.monotonic() - began:.0f} s", flush=True)
    print("every block of docs/edge-box.md ran")


if __name__ == "__main__":
    sys.exit(main())
