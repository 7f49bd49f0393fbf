"""`streamer token`."""

from __future__ import annotations

from streamer.__main__ import run
from streamer.commands.outcome import Exit
from streamer.network.tokens import read_tokens


def test_a_token_is_made_with_its_digest_and_never_twice(capsys):
    assert (run(["token"]), run(["token"])) == (Exit.OK, Exit.OK)

    printed = dict.fromkeys(line for line in capsys.readouterr().out.splitlines())
    first, digest, second, _ = (line.split()[1] for line in printed)
    assert read_tokens("token", digest, None).any_of([first])
    assert not read_tokens("token", digest, None).any_of([second])
    assert min(len(first), len(second)) >= 43
