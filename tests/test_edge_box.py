"""The guide to an edge box names what is there; `make edgebox` runs its commands in a fresh Debian."""

from __future__ import annotations

import re

from tests.edge_box import GUIDE, TREE, blocks

GUIDE_TEXT = GUIDE.read_text()


def test_every_file_of_the_tree_that_a_command_names_is_there():
    commands = "\n".join(blocks(GUIDE_TEXT) + blocks(GUIDE_TEXT, "console"))
    named = re.findall(r"/opt/streamer/source/(\S+)|(?<= )((?:clients|systemd)/\S+)", commands)
    files = {first or second for first, second in named}

    assert {"systemd/streamer.service", "systemd/streamer.toml", "clients/demo/digits.flac"} <= files
    assert [name for name in sorted(files) if not (TREE / name).exists()] == []


def test_the_units_find_the_program_where_the_guide_installs_it():
    unit = (TREE / "systemd" / "streamer.service").read_text()

    assert "python3 -m venv /opt/streamer/.venv" in GUIDE_TEXT
    assert "ExecStart=/opt/streamer/.venv/bin/streamer serve --config /etc/streamer/streamer.toml" in unit


def test_a_block_is_what_stands_between_its_fences():
    text = "```sh\none\n\ntwo\n```\n\n```console\nthree\n```\n```sh\nfour\n```\n"

    assert blocks(text) == ["one\n\ntwo\n", "four\n"]
    assert blocks(text, "console") == ["three\n"]
