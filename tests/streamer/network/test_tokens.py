from __future__ import annotations

import hmac

import pytest

from streamer.config import ConfigError
from streamer.network.tokens import Tokens, digest, hashed, read_tokens

TOKEN = "a-token-that-nobody-guesses"
OTHER = "another-that-nobody-guesses"


def test_a_token_and_its_digest_in_the_settings_are_good_for_the_same():
    for written in (TOKEN, hashed(TOKEN), hashed(TOKEN).replace("abc", "ABC")):
        tokens = read_tokens("token", written, None)
        assert tokens.any_of([OTHER, TOKEN])
        assert not tokens.any_of([OTHER])


def test_the_digest_is_no_token():
    assert not read_tokens("token", hashed(TOKEN), None).any_of([hashed(TOKEN), hashed(TOKEN).partition(":")[2]])


def test_a_digest_is_sha_256():
    # printf %s abc | sha256sum: FIPS 180-2, B.1
    assert hashed("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_may_hold_several_in_either_form(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# the kitchen\n{TOKEN}\r\n\n  {hashed(OTHER)}  \n")
    tokens = read_tokens("token", "", path)

    assert tokens.any_of([TOKEN])
    assert tokens.any_of([OTHER])
    assert not tokens.any_of(["# the kitchen", ""])


@pytest.mark.parametrize("content", [b"", b"\n", b"# nothing else\n"])
def test_a_file_without_a_token_is_told(tmp_path, content):
    path = tmp_path / "tokens"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"server\.watch_token_file .*tokens is empty"):
        read_tokens("watch_token", "", path)


@pytest.mark.parametrize("content", [None, "ü".encode()])
def test_a_file_that_cannot_be_read_is_told(tmp_path, content):
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"server\.token_file .*tokens cannot be read"):
        read_tokens("token", "", path)


@pytest.mark.parametrize("written", ["sha256:", "sha256:12", f"sha256:{'g' * 64}", f"{hashed(TOKEN)}0"])
def test_a_digest_that_is_none_is_told_without_repeating_it(written):
    with pytest.raises(ConfigError, match=r"server\.token: sha256: must be followed by 64") as raised:
        read_tokens("token", written, None)
    assert written.partition(":")[2] not in str(raised.value) or written == "sha256:" or len(written) < 12


def test_a_token_that_clients_cannot_send_is_told_without_repeating_it():
    with pytest.raises(ConfigError, match=r"server\.admin_token: a token must be of ASCII characters") as raised:
        read_tokens("admin_token", "schlüssel-42", None)
    assert "42" not in str(raised.value)


def test_a_token_with_bytes_that_are_no_text_is_compared_like_any_other():
    assert not read_tokens("token", TOKEN, None).any_of(["\udcff\udcfe", "ü"])


def test_what_is_compared_is_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or False)

    assert not Tokens((digest(TOKEN), digest(OTHER))).any_of([TOKEN])
    assert compared == [(digest(TOKEN), digest(TOKEN)), (digest(TOKEN), digest(OTHER))]


def test_neither_tokens_nor_their_holder_show_a_token():
    assert TOKEN not in repr(read_tokens("token", TOKEN, None))
