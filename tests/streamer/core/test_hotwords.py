import pytest

from streamer.core.hotwords import with_hotwords


@pytest.mark.parametrize(
    ("context", "hotwords", "text"),
    [
        ("", [], ""),
        (" Trains. ", [], "Trains."),
        ("", ["Boro", "Kita"], "Boro, Kita."),
        ("Trains.", ["Boro"], "Trains. Boro."),
        ("", ["Mu", " ", "Boro  Kita\n", "Mu"], "Mu, Boro Kita."),
    ],
)
def test_hotwords_end_what_the_client_said_as_a_sentence(context, hotwords, text):
    assert with_hotwords(context, hotwords) == text
