"""The parts of the page that compute: each must do what its twin on the server does, or what a formula says."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pytest
from rich.cells import cell_len

from model.types import SAMPLE_RATE, Segment, Word
from streamer.core.cues import cues
from streamer.core.formats import Transcript, TranscriptFormat, render

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = {
    "english": "so when the captain spoke, everybody listened. Extraordinarily! well-known words; & <b> --> : yes?",
    "german": "Geschwindigkeitsbegrenzung größer wäre schöner, möglicherweise: nicht. Fußgängerübergänge",
    "chinese": f"我们 今天 ， 说话 。 {'因为没有空格所以一行很长' * 4} 好",
    "arabic": "مرحبا بكم، في هذا اليوم؟ نعم",
    "persian": "من می\u200cخواهم کتاب\u200cها را، به خانه\u200cام ببرم؟",
    "hindi": "आज हम इस विषय पर बात करेंगे, कि भारत में शिक्षा की स्थिति कैसी है। आगे",
    "tamil": "இன்று நாம் இந்த விஷயத்தைப் பற்றி பேசுவோம், அடுத்து",
    "emoji": "family 👨\u200d👩\u200d👧 ❤\ufe0f ✅ done 👍🏽 🇩🇪 1\ufe0f\u20e3 ☎ ⭐⭐⭐⭐⭐ one\u200d",
    "control": "a\nb_\x00_c\u2028d_ _e\t_\u00a0f\u3000_g\u00ad\ufeff_\ufeff_ \u200b",
}
SPACELESS = {"chinese"}
ALIKE = (
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xAC00, 0xD7A4),
    range(0x17000, 0x18D00),
    range(0x20000, 0x31350),
)
"""Han, Hangul and Tangut."""


def spoken(script: str, seed: int) -> list[Word]:
    """Return 80 words at times that have everything: no pause, breaths, pauses, halves of milliseconds."""
    dice = random.Random(f"{script} {seed}")
    vocabulary = TEXTS[script].split("_" if script == "control" else " ")
    found, at = [], dice.randrange(SAMPLE_RATE)
    for _ in range(80):
        length = dice.choice([0, 8, 800, 4808, 9600, 40_000])
        text = dice.choice(vocabulary)
        found.append(Word(text if script in SPACELESS else f" {text}", at, at + length, 0.9, ()))
        at += length + dice.choice([0, 0, 0, 8, 1600, 4000, 15_992, 16_000, 48_000])
    return found


async def test_subtitles_are_the_server_s_to_the_byte(desk, quiet):
    page = await desk.page()
    await page.goto(quiet)
    talks = [spoken(script, seed) for script in TEXTS for seed in range(12)]
    plain = [
        [{"text": w.text, "start": w.start / SAMPLE_RATE, "end": w.end / SAMPLE_RATE} for w in words] for words in talks
    ]

    made = await page.evaluate(
        """async talks => {
            const { srt, vtt } = await import("/pages/formats.js");
            return talks.map(words => [srt([words]), vtt([words])]);
        }""",
        plain,
    )

    for words, (srt, vtt) in zip(talks, made, strict=True):
        transcript = Transcript((Segment(words[0].start, words[-1].end, tuple(words)),), "en", words[-1].end)
        assert srt == render(transcript, TranscriptFormat.SRT)
        assert vtt == render(transcript, TranscriptFormat.VTT)
        assert len(list(cues(words))) > 3


def is_text(number: int) -> bool:
    """Whether there is such a character; of thousands that are alike some."""
    alike = any(number in those for those in ALIKE) and number % 97
    return not alike and unicodedata.category(chr(number)) not in {"Cn", "Co", "Cs"}


async def test_columns_are_counted_as_a_terminal_does(desk, quiet):
    texts = [
        "",
        "plain",
        "größer",
        "e\u0301",
        "我们今天",
        "これはペンです",
        "한국어",
        "مرحبا",
        "Ｆｕｌｌ",
        "“…”—",
        "日本 and 日本。",
        "नमस्ते",
        "می\u200cخواهم",
        "👨\u200d👩\u200d👧",
        *(chr(number) for number in range(0x110000) if is_text(number)),
    ]
    page = await desk.page()
    await page.goto(quiet)

    found = await page.evaluate("""async texts => texts.map((await import("/pages/columns.js")).columns)""", texts)

    assert dict(zip(texts, found, strict=True)) == {text: cell_len(text) for text in texts}


RESAMPLE = """async ([samples, rate, size]) => {
    const { Resampler } = await import("/pages/resampler.js");
    const resampler = new Resampler(rate, 16000);
    const out = [];
    const input = Float32Array.from(samples.split(","));
    for (let at = 0; at < input.length; at += size) resampler.push(input.subarray(at, at + size), one => out.push(one));
    resampler.finish(one => out.push(one));
    return out.join();
}"""
"""Numbers go and come as one text each, for a list goes number by number."""


def tones(rate: int, seconds: float, *frequencies: float) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return sum(0.3 * np.sin(2 * np.pi * frequency * time) for frequency in frequencies)


async def test_what_can_be_kept_of_a_sound_is_kept_and_what_cannot_be_does_not_fold_back(desk, quiet):
    page = await desk.page()
    await page.goto(quiet)
    for rate in (8_000, 22_050, 44_100, 48_000, 96_000):
        kept = [200.0, 1000.0, 0.38 * min(rate, SAMPLE_RATE)]
        lost = [one for one in (8_400.0, 11_000.0, 15_500.0, 21_000.0) if one < rate / 2]
        sound = tones(rate, 0.2, *kept, *lost)

        made = await page.evaluate(RESAMPLE, [",".join(map(str, sound)), rate, 128])
        found = np.array(made.split(","), np.float64)

        ideal = tones(SAMPLE_RATE, 0.2, *kept)
        assert len(found) == len(ideal)
        assert np.abs(found - ideal)[400:-400].max() < 0.3e-3 * (1 + len(lost)), f"at {rate} Hz: -60 dB of each tone"


async def test_how_a_sound_is_cut_makes_no_difference_to_it(desk, quiet):
    page = await desk.page()
    await page.goto(quiet)
    sound = ",".join(map(str, np.random.default_rng(1).uniform(-1, 1, 9_000)))

    cuts = [await page.evaluate(RESAMPLE, [sound, 44_100, size]) for size in (1, 128, 9_000)]

    assert cuts[0] == cuts[1] == cuts[2]


SHOW_MUCH = """async () => {
    const { Shown } = await import("/pages/shown.js");
    const shown = new Shown();
    const told = (from, to, text = "w") =>
        Array.from({ length: to - from }, (_, at) => ({ id: from + at, text, words: [] }));
    for (const commit of told(1, 30_001)) shown.add(commit);
    const asked = [
        [told(1, 5_000), true],
        [told(19_000, 22_000), true],
        [told(29_999, 30_100), true],
        [told(29_999, 30_100, "x"), true],
        [told(19_000, 30_001), false],
        [told(1, 5_000), false],
        [[], false],
    ];
    return [shown.size, shown.last, asked.map(([commits, same]) => shown.goesOn(commits, same))];
}"""


async def test_of_a_talk_without_end_a_viewer_s_page_remembers_a_part_and_still_knows_it_from_another(desk, quiet):
    page = await desk.page()
    await page.goto(quiet)
    size, last, goes_on = await page.evaluate(SHOW_MUCH)
    assert size == 10_000
    assert last == 30_000
    assert goes_on == [True, True, True, False, True, False, False]
