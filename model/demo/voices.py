"""The spoken digits that the demo model hears: recordings and synthesised voices, as one bank of short clips.

Recordings are the Free Spoken Digit Dataset (8 kHz); its own convention keeps takes 0-4 for testing. Synthesis is
espeak-ng and flite by their commands. Every clip carries the true start and end of each digit, found by energy, or by
the synthesiser's own phoneme times inside a phrase.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE = 16_000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_TAKES = range(5)
SPEAKERS = ("george", "jackson", "nicolas", "yweweler")
ESPEAK_VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "croak", "klatt", "klatt2", "klatt3",
    "klatt4", "adam", "Alex", "Alicia", "Andrea", "Andy", "Annie", "antonio", "belinda", "benjamin", "boris", "caleb",
    "david", "Denis", "Diogo", "ed", "edward", "grandma", "grandpa", "Henrique", "Hugo", "iven", "john", "kaukovalta",
    "Lee", "linda", "marcelo", "Mario", "Michael", "michel", "miguel", "Nguyen", "norbert", "pablo", "paul", "pedro",
    "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "Zac",
)  # fmt: skip
ESPEAK_ACCENTS = (
    "en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029", "en-us-nyc",
)  # fmt: skip
ESPEAK_FOREIGN = {
    "de": "siroh wann tuh ssrih fohr faif sicks sewwen ejt nein",
    "fr-fr": "ziro ouane tou sri fôre faïve sixe sévène éïte naïne",
    "es": "siro uan tu zri for faiv siks seven eit nain",
    "it": "siro uan tu tri for faiv siks seven eit nain",
    "nl": "ziero wan toe srie foor faaif siks seven eet nain",
    "pl": "ziroł łan tu fri for fajw siks sewen ejt najn",
    "sv": "siro uan to tri får fajv siks seven ejt najn",
    "pt": "zirou uan tu tri for faive six séven êit náine",
    "el": "ζίροου γουάν του θρι φορ φάιβ σιξ σέβεν έιτ νάιν",
    "ru": "зироу уан ту сри фор файв сикс севен эйт найн",
    "tr": "ziro van tu tri for fayv siks sevın eyt nayn",
    "fi": "siro uan tuu trii foor faiv siks seven eit nain",
    "hi": "ज़ीरो वन टू थ्री फ़ोर फ़ाइव सिक्स सेवन एट नाइन",
    "id": "ziro wan tu tri for faif siks seven eit nain",
}
"""The ten English words as voices of other languages would spell them: accents that no English voice has."""
NARROW = 0.75
"""Share of synthetic clips that pass through 8 kHz."""
FLITE_VOICES = ("slt", "rms", "kal16", "kal", "awb")
FLITE_PHONES = {
    "zero": "z ih r ow", "one": "w ah n", "two": "t uw", "three": "th r iy", "four": "f ao r", "five": "f ay v",
    "six": "s ih k s", "seven": "s eh v ax n", "eight": "ey t", "nine": "n ay n",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spoken:
    """One digit within a stretch of audio."""

    digit: int
    start: int
    """Samples at 16 kHz."""
    end: int


@dataclass(frozen=True, slots=True)
class Clip:
    """A few hundred milliseconds of one voice."""

    samples: Samples
    """(n,), mono, 16 kHz, loudest 10 ms near -18 dBFS."""
    words: tuple[Spoken, ...]
    voice: str


def active_range(samples: Samples, rate: int = RATE, floor_db: float = 35.0) -> tuple[int, int]:
    """First and one-past-last sample of the 10 ms frames that are within `floor_db` of the loudest."""
    hop = rate // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    level = 10 * np.log10((frames.astype(np.float64) ** 2).mean(axis=1) + 1e-12)
    loud = np.flatnonzero(level > level.max() - floor_db)
    return int(loud[0]) * hop, min(len(samples), (int(loud[-1]) + 1) * hop)


def leveled(samples: Samples, peak_db: float = -18.0) -> Samples:
    """Scale so that the loudest 10 ms have `peak_db` dBFS."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    loudest = 10 * np.log10((frames.astype(np.float64) ** 2).mean(axis=1).max() + 1e-12)
    return np.asarray(samples * 10 ** ((peak_db - loudest) / 20), dtype=np.float32)


def recordings(
    folder: Path, takes: Sequence[int], speakers: Sequence[str] = SPEAKERS
) -> Iterator[tuple[str, int, Samples]]:
    """Yield (speaker, digit, samples at 8 kHz) of the wanted takes, in a fixed order."""
    for speaker, digit, take in itertools.product(speakers, range(10), takes):
        samples, rate = soundfile.read(folder / f"{digit}_{speaker}_{take}.wav", dtype="float32")
        assert rate == RATE // 2, rate
        yield speaker, digit, samples


def mu_law(samples: Samples) -> Samples:
    """Round trip through 8 bit µ-law (ITU-T G.711, continuous form), as a telephone would."""
    x = np.clip(samples, -1, 1)
    squeezed = np.round(np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256) * 127) / 127
    return np.asarray(np.sign(squeezed) * (256 ** np.abs(squeezed) - 1) / 255, dtype=np.float32)


def upsampled(samples: Samples, factor: float, kind: str) -> Samples:
    """8 kHz to 16 kHz, `factor` times as long (pitch and formants / factor); `linear` leaves images above 4 kHz."""
    if kind == "linear":
        positions = np.arange(int((len(samples) - 1) * 2 * factor)) / (2 * factor)
        return np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)
    resampled: Samples = soxr.resample(samples, RATE / 2, RATE * factor, quality="QQ" if kind == "cubic" else "HQ")
    return resampled.astype(np.float32)


def stretched(samples: Samples, factor: float) -> Samples:
    """Change duration and nothing else, by overlapping 25 ms pieces where they fit best (WSOLA, Verhelst 1993)."""
    size, hop, reach = 400, 200, 120
    window = np.hanning(size + 1)[:size].astype(np.float32)
    n_pieces = int(len(samples) * factor) // hop
    padded = np.pad(samples, (reach, size + 2 * reach + hop))
    out = np.zeros(n_pieces * hop + size, dtype=np.float32)
    position = reach
    for piece in range(n_pieces):
        if piece:
            natural = padded[position + hop : position + hop + size]
            wanted = min(int(piece * hop / factor) + reach, len(padded) - size - reach)
            area = padded[max(0, wanted - reach) : wanted + reach + size]
            if len(natural) < size:
                break
            position = max(0, wanted - reach) + int(np.correlate(area, natural, "valid").argmax())
        out[piece * hop : piece * hop + size] += window * padded[position : position + size]
    return out[: int(len(samples) * factor)]


def softened(samples: Samples, power: float) -> Samples:
    """Push down what is quiet within a word, as someone does who swallows the ends: levels below -12 dB, by `power`."""
    hop = 160
    levels = np.array([(samples[at : at + 2 * hop] ** 2).mean() for at in range(0, len(samples), hop)])
    quiet = np.minimum(1.0, np.sqrt(levels / (levels.max() + 1e-12)) * 4)
    gain = np.interp(np.arange(len(samples)), np.arange(len(quiet)) * hop + hop, quiet**power)
    return np.asarray(samples * gain, dtype=np.float32)


def recorded_clips(folder: Path, takes: Sequence[int], versions: int, rng: np.random.Generator) -> Iterator[Clip]:
    """Each recording as it is, then `versions - 1` times with another pitch, tempo and way of resampling."""
    for speaker, digit, raw in recordings(folder, takes):
        for version in range(versions):
            samples, factor, kind = leveled(raw), 1.0, "soxr"
            if version:
                factor = float(np.exp(rng.uniform(-0.2, 0.2)))
                kind = str(rng.choice(["soxr", "soxr", "soxr", "cubic", "linear"]))
                samples = mu_law(samples) if rng.random() < 0.2 else samples
            samples = upsampled(samples, factor, kind)
            if version and rng.random() < 0.7:
                samples = stretched(samples, float(np.exp(rng.uniform(-0.5, 0.3))))
            if version and rng.random() < 0.3:
                samples = softened(samples, float(rng.uniform(0.3, 1.5)))
            start, end = active_range(samples)
            yield Clip(leveled(samples), (Spoken(digit, start, end),), speaker)


def _synthesised(command: Sequence[str]) -> tuple[Samples, str]:
    """Run a synthesiser that writes the wave file named last; return 16 kHz samples and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
        samples, rate = soundfile.read(path, dtype="float32")
    return soxr.resample(samples, rate, RATE).astype(np.float32), done.stdout


def espeak_clip(digit: int, voice: str, speed: int, pitch: int) -> Clip:
    """Say one digit with espeak-ng; speed in words a minute, pitch 0-99."""
    spelled = ESPEAK_FOREIGN.get(voice.partition("+")[0], " ".join(DIGITS)).split()[digit]
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), spelled, "-w"]
    samples, _ = _synthesised(command)
    start, end = active_range(samples)
    keep = slice(max(0, start - 800), end + 800)
    return Clip(leveled(samples[keep]), (Spoken(digit, start - keep.start, end - keep.start),), f"espeak {voice}")


def flite_clip(digits: Sequence[int], voice: str, stretch: float, pitch: int) -> Clip | None:
    """Say one or more connected digits with flite, words cut by its phoneme times; None if those do not fit."""
    text = " ".join(DIGITS[digit] for digit in digits)
    settings = ["--setf", f"duration_stretch={stretch:.3f}", "--setf", f"int_f0_target_mean={pitch}"]
    samples, printed = _synthesised(["flite", "-voice", voice, *settings, "-psdur", "-t", text, "-o"])
    phones = [(name, float(end)) for name, end in re.findall(r"(\S+):([\d.]+)", printed)]
    words, position, begin = [], 0, 0.0
    for digit in digits:
        while position < len(phones) and phones[position][0] == "pau":
            begin = phones[position][1]
            position += 1
        position += len(FLITE_PHONES[DIGITS[digit]].split())
        if position > len(phones) or any(name == "pau" for name, _ in phones[position - 1 : position]):
            return None
        words.append(Spoken(digit, int(begin * RATE), int(phones[position - 1][1] * RATE)))
        begin = phones[position - 1][1]
    start, end = active_range(samples)
    origin = max(0, start - 800)
    words[0] = Spoken(words[0].digit, start, words[0].end)
    words[-1] = Spoken(words[-1].digit, words[-1].start, end)
    if any(word.end - word.start < 0.06 * RATE for word in words):
        return None
    moved = tuple(Spoken(w.digit, w.start - origin, w.end - origin) for w in words)
    return Clip(leveled(samples[origin : end + 800]), moved, f"flite {voice}")


def synthetic_clips(rng: np.random.Generator, espeak_voices: int, flite_rounds: int) -> list[Clip]:
    """All ten digits of many espeak-ng voices and of flite's, and connected phrases of flite's.

    Two in five of the espeak-ng voices speak another language and say English words as well as they can.
    """
    jobs: list[tuple[str, tuple[object, ...]]] = []
    for index in range(espeak_voices):
        variant = ESPEAK_VARIANTS[index % len(ESPEAK_VARIANTS)]
        accents = tuple(ESPEAK_FOREIGN) if index % 5 < 2 else ESPEAK_ACCENTS
        voice = f"{rng.choice(accents)}+{variant}"
        speed, pitch = int(rng.integers(95, 210)), int(rng.integers(20, 75))
        jobs += [("espeak", (digit, voice, speed, pitch)) for digit in range(10)]
    for voice, _ in itertools.product(FLITE_VOICES, range(flite_rounds)):
        stretch, pitch = float(rng.uniform(0.75, 1.35)), int(rng.integers(85, 230))
        jobs += [("flite", ([digit], voice, stretch, pitch)) for digit in range(10)]
        phrases = [rng.integers(0, 10, rng.integers(2, 6)).tolist() for _ in range(10)]
        jobs += [("flite", (phrase, voice, stretch, pitch)) for phrase in phrases]
    makers = {"espeak": espeak_clip, "flite": flite_clip}
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda job: makers[job[0]](*job[1]), jobs))  # type: ignore[operator]
    return [narrowed(clip, rng) if rng.random() < NARROW else clip for clip in made if clip is not None]


def narrowed(clip: Clip, rng: np.random.Generator) -> Clip:
    """Send a clip through 8 kHz, as all the recordings have been: what tells an s there is not what tells it here."""
    samples = soxr.resample(clip.samples, RATE, RATE // 2).astype(np.float32)
    samples = upsampled(samples, 1.0, str(rng.choice(["soxr", "soxr", "soxr", "cubic", "linear"])))
    if rng.random() < 0.3:
        samples = softened(samples, float(rng.uniform(0.3, 1.5)))
    samples = np.pad(samples, (0, max(0, len(clip.samples) - len(samples))))[: len(clip.samples)]
    return replace(clip, samples=leveled(samples))
