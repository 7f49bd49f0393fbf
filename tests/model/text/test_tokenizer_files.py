"""Tokenizers read and written: every layout, both ways between ours and the reference."""

import json
from pathlib import Path

import pytest
import transformers
from tokenizers import AddedToken

from model.config import ModelError
from model.tokenizer import WhisperTokenizer
from tests.model.texts import COMMANDS, SENTENCES
from tests.model.tokenizer_folders import SPELLINGS, write_vocabulary

pytestmark = pytest.mark.filterwarnings("ignore:Deprecated in 0.9.0")  # what the reference reads vocab.json by
TEXTS = [*SENTENCES, *COMMANDS]


def assert_same(ours, reference):
    """The same tokens for every text, and the same text for these."""
    assert len(ours) == len(reference)
    assert ours.vocab_size == reference.vocab_size
    assert ours.all_special_ids == reference.all_special_ids
    assert ours.prefix_tokens == reference.prefix_tokens
    for text in TEXTS:
        ids = reference.encode(text)
        assert ours.encode(text) == ids, text
        for skip in (False, True):
            assert ours.decode(ids, skip_special_tokens=skip) == reference.decode(ids, skip_special_tokens=skip)


@pytest.mark.parametrize("layout", ["merges", "older", "unified"])
@pytest.mark.parametrize("languages", [99, 100])
def test_every_layout_is_read_as_the_reference_reads_it(tmp_path, layout, languages):
    write_vocabulary(tmp_path, languages, layout=layout)
    reference = transformers.WhisperTokenizer.from_pretrained(tmp_path)
    ours = WhisperTokenizer.from_pretrained(str(tmp_path))

    if layout == "older":  # the reference lost which of these are special, so it does not skip them
        text = "<|startoftranscript|> a<|endoftext|>"
        assert ours.encode(text) == reference.encode(text)
        assert ours.decode(ours.encode(text), skip_special_tokens=True) == " a"
    else:
        assert_same(ours, reference)
    assert ours.normalize("Grey colour") == reference.normalize("Grey colour") == "gray color"


def test_what_we_save_the_reference_reads(tmp_path):
    write_vocabulary(tmp_path / "from", layout="merges", add_prefix_space=True, model_max_length=77)
    ours = WhisperTokenizer.from_pretrained(tmp_path / "from", language="german", task="translate", pad_token="!")
    ours.add_tokens(["Zwölfboxkämpfer"])
    paths = ours.save_pretrained(tmp_path / "to")

    reference = transformers.WhisperTokenizer.from_pretrained(tmp_path / "to")

    assert {path.rsplit("/")[-1] for path in paths} == {"tokenizer.json", "tokenizer_config.json", "normalizer.json"}
    assert_same(ours, reference)
    assert_same(WhisperTokenizer.from_pretrained(tmp_path / "to"), reference)
    assert (reference.pad_token, reference.model_max_length, reference.language) == ("!", 77, "german")
    assert reference.encode("ein Zwölfboxkämpfer") == ours.encode("ein Zwölfboxkämpfer")
    assert reference.normalize("theatre") == "theater"


SETTINGS = [
    {"split_special_tokens": True}, {"model_input_names": ["input_ids"]}, {"clean_up_tokenization_spaces": True},
    {"padding_side": "left", "truncation_side": "left"}, {"predict_timestamps": True}, {"add_prefix_space": True},
    {"extra_special_tokens": ["one"]},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_setting_acts_as_in_the_reference_and_is_saved(tmp_path, settings):
    write_vocabulary(tmp_path / "from", layout="unified")
    ours, reference = (
        kind.from_pretrained(tmp_path / "from", **settings)
        for kind in (WhisperTokenizer, transformers.WhisperTokenizer)
    )
    ours.save_pretrained(tmp_path / "to")
    texts = ["one <|en|> two , three", "four"]
    expected = [
        dict(reference(texts, padding=True, truncation=True, max_length=9)), reference.encode(texts[0]),
        reference.decode(reference.encode(texts[0]), skip_special_tokens=True),
    ]  # fmt: skip

    saved = [kind.from_pretrained(tmp_path / "to") for kind in (WhisperTokenizer, transformers.WhisperTokenizer)]
    for each in (ours, ours, *saved):
        batch = each(texts, padding=True, truncation=True, max_length=9)
        ids = each.encode(texts[0])
        assert [dict(batch), ids, each.decode(ids, skip_special_tokens=True)] == expected


def test_spaces_around_an_added_token_are_taken_as_it_says(tmp_path):
    write_vocabulary(tmp_path / "from", layout="unified")
    ours = WhisperTokenizer.from_pretrained(tmp_path / "from")
    ours.add_tokens([AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True)])
    ours.save_pretrained(tmp_path / "to")

    again, reference = (
        kind.from_pretrained(tmp_path / "to") for kind in (WhisperTokenizer, transformers.WhisperTokenizer)
    )

    text = "a <l> b <r> c"
    assert again.encode(text) == reference.encode(text) == ours.encode(text)
    assert again.decode(ours.encode(text)) != text


def test_what_the_reference_saves_we_read(tmp_path):
    reference = transformers.WhisperTokenizer.from_pretrained(
        write_vocabulary(tmp_path / "from", layout="unified"), language="es", predict_timestamps=True
    )
    reference.add_special_tokens({"additional_special_tokens": ["<new>"]}, replace_extra_special_tokens=False)
    reference.save_pretrained(tmp_path / "to")

    assert_same(WhisperTokenizer.from_pretrained(tmp_path / "to"), reference)


def test_unknown_settings_survive_a_round_trip(tmp_path):
    write_vocabulary(tmp_path / "a", layout="unified", errors="replace", of_tomorrow=[1, {"x": 2}])
    WhisperTokenizer.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b", filename_prefix="p")

    saved = json.loads((tmp_path / "b" / "p-tokenizer_config.json").read_text())
    assert (saved["of_tomorrow"], saved["errors"]) == ([1, {"x": 2}], "replace")
    assert saved["tokenizer_class"] == "WhisperTokenizer"


def test_a_saved_vocabulary_equals_the_references_and_is_read_again(tmp_path):
    write_vocabulary(tmp_path / "a", layout="unified")
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours = WhisperTokenizer.from_pretrained(tmp_path / "a")
    paths = ours.save_vocabulary(str(tmp_path / "ours"), "x")
    theirs = transformers.WhisperTokenizer.from_pretrained(tmp_path / "a").save_vocabulary(
        str(tmp_path / "theirs"), "x"
    )

    for path, expected in zip(paths, theirs, strict=True):
        assert path == expected.replace("theirs", "ours")
        assert Path(path).read_text() == Path(expected).read_text()
    again = WhisperTokenizer(vocab_file=paths[0], merges_file=paths[1], normalizer_file=paths[2])
    assert again.encode("plain text", add_special_tokens=False) == ours.encode("plain text", add_special_tokens=False)
    assert again.english_spelling_normalizer == SPELLINGS
    with pytest.raises(ModelError, match="must be saved in a folder"):
        ours.save_vocabulary(str(tmp_path / "none"))


def test_a_tokenizer_is_built_of_data_as_the_reference_builds_it():
    vocabulary, merges = {"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3, "<|notimestamps|>": 4}, [("a", "b")]
    ours = WhisperTokenizer(vocabulary, merges, predict_timestamps=True)
    reference = transformers.WhisperTokenizer(vocabulary, merges, predict_timestamps=True)

    assert ours.encode("abba") == reference.encode("abba")
    assert ours.prefix_tokens == reference.prefix_tokens


def test_one_file_is_enough(tmp_path):
    path = write_vocabulary(tmp_path, layout="unified") / "tokenizer.json"
    whole = WhisperTokenizer.from_pretrained(tmp_path)

    assert WhisperTokenizer.from_pretrained(path).encode("some text") == whole.encode("some text")
    assert WhisperTokenizer(tokenizer_file=path).encode("some text") == whole.encode("some text")


def test_a_merge_of_a_hash_is_no_header(tmp_path):
    vocabulary, merges = {"#": 0, "##": 1, "####": 2}, "#version: 0.2\n# #\n## ##\n"
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text(merges)

    ours = WhisperTokenizer.from_pretrained(tmp_path)

    assert ours.encode("####", add_special_tokens=False) == [2]


def test_an_english_only_vocabulary_is_read(tmp_path):
    folder = write_vocabulary(tmp_path, layout="unified")
    spec = json.loads((folder / "tokenizer.json").read_text())
    spec["model"]["vocab"].pop("<|endoftext|>")  # GPT-2's place, an id earlier
    (folder / "tokenizer.json").write_text(json.dumps(spec))

    assert_same(WhisperTokenizer.from_pretrained(folder), transformers.WhisperTokenizer.from_pretrained(folder))


def test_the_demo_has_openais_spellings_without_a_file():
    ours = WhisperTokenizer.from_pretrained("demo")

    assert ours.english_spelling_normalizer is None
    assert ours.normalize("The colour's grey") == "the color is gray"


@pytest.mark.parametrize("options", [{"legacy_format": True}, {"push_to_hub": True}])
def test_other_ways_to_save_are_refused(tmp_path, vocabulary, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be False"):
        WhisperTokenizer.from_pretrained(vocabulary).save_pretrained(tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokenizer.json", "{", "tokenizer.json is not JSON"),
        ("tokenizer.json", '{"model": {"vocab": {"a": 0}, "merges": []}}', "tokenizer.json is not a tokenizer"),
        ("tokenizer_config.json", "[]", "tokenizer_config.json must hold a JSON object"),
        ("tokenizer_config.json", '{"language": "klingon"}', "got 'klingon'"),
        ("tokenizer_config.json", '{"padding_side": "top"}', "padding_side must be 'left' or 'right', got 'top'"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": 1}}', "the added tokens are unreadable"),
        ("normalizer.json", "7", "normalizer.json must hold a JSON object"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path, name, text, message):
    write_vocabulary(tmp_path, layout="unified")
    (tmp_path / name).write_text(text)

    with pytest.raises(ModelError, match=message):
        WhisperTokenizer.from_pretrained(tmp_path)


def test_a_name_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(ModelError, match="neither a folder nor in the cache"):
        WhisperTokenizer.from_pretrained("openai/whisper-none", local_files_only=True, cache_dir=tmp_path)
    with pytest.raises(ModelError, match="cannot be a hub name"):
        WhisperTokenizer.from_pretrained("not/a/name")


def test_the_hubs_cache_is_read_without_weights_or_network(tmp_path):
    snapshot = tmp_path / "models--some--whisper" / "snapshots" / ("b" * 40)
    write_vocabulary(snapshot, layout="unified")
    refs = tmp_path / "models--some--whisper" / "refs"
    refs.mkdir()
    (refs / "main").write_text("b" * 40)

    ours = WhisperTokenizer.from_pretrained("some/whisper", cache_dir=tmp_path, language="french")

    assert ours.normalize("grey") == "gray"
    assert ours.language == "french"
