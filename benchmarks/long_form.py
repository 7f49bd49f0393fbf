"""Compare long form with the peers on the same weights: words, word error rate, and time as a ratio.

    python -m benchmarks.long_form [--minutes 10] [--rounds 2] [--threads 2]

One recording of spoken digits is transcribed by our `generate`, by that of transformers and by faster-whisper, in turns
and as often as `--rounds` says, on the same weights in float32 on the CPU with greedy search; the order alternates.
Only ratios of times within one run are stated: a lone time says more of the machine than of the program. The features
of the first two are computed within their time, as faster-whisper does.

Writes long_form.md, long_form.png and long_form.json to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

import model
from benchmarks import machine, speech
from benchmarks.plot import plot_bars
from benchmarks.race import FASTER_WHISPER, OURS, TRANSFORMERS, Outcome, Transcriber, race, speed
from model.files.hub import demo_folder
from model.text.word_errors import word_errors
from model.types import SAMPLE_RATE, Samples

STYLE = speech.Style(words=(4, 14), gap=(0.1, 0.5), pause=(0.6, 2.5))


@dataclass(frozen=True, slots=True)
class Options:
    """What to run."""

    minutes: float
    rounds: int
    threads: int


def main() -> None:
    """Measure, print and write."""
    options = parse()
    torch.set_num_threads(options.threads)
    where = machine.describe()
    spoken = speech.speak(options.minutes * 60, seed=20, styles=[STYLE])
    with tempfile.TemporaryDirectory() as folder:
        programs = {
            OURS: load_generate(model),
            TRANSFORMERS: load_generate(import_module("transformers")),
            FASTER_WHISPER: load_faster_whisper(Path(folder), options.threads),
        }
        outcomes = race(programs, spoken, options.rounds)
    table = describe(options, where, spoken, outcomes)
    machine.write("long_form.md", table)
    raw = {"machine": where, "options": asdict(options), "outcomes": [asdict(one) for one in outcomes]}
    machine.write("long_form.json", json.dumps(raw, indent=1) + "\n")
    plot_bars(
        {one.name: speed(one, outcomes) for one in outcomes},
        "Speed of long form, relative to transformers (same weights, same run)",
        machine.RESULTS / "long_form.png",
    )
    print(table)


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Long form against the peers, on the same weights.")
    parser.add_argument("--minutes", type=float, default=10, help="length of the recording")
    parser.add_argument("--rounds", type=int, default=2, help="how often each program transcribes it")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each program")
    return Options(**vars(parser.parse_args()))


def load_generate(package: Any) -> Transcriber:
    """Load the demo model by the classes of the reference's names, ours or its own."""
    processor = package.WhisperProcessor.from_pretrained(str(demo_folder()))
    network = package.WhisperForConditionalGeneration.from_pretrained(str(demo_folder()), dtype=torch.float32).eval()

    def transcribe(samples: Samples) -> list[str]:
        inputs = processor(
            samples, sampling_rate=SAMPLE_RATE, truncation=False, padding="longest", return_attention_mask=True,
            return_tensors="pt",
        )  # fmt: skip
        with torch.inference_mode():
            tokens = network.generate(**inputs, language="en", task="transcribe", return_timestamps=True)
        text: str = processor.batch_decode(tokens, skip_special_tokens=True)[0]
        return text.split()

    return transcribe


def load_faster_whisper(folder: Path, threads: int) -> Transcriber:
    """Convert the same weights for CTranslate2, and load them."""
    target = str(folder / "converted")
    converters = import_module("ctranslate2.converters")
    converter = converters.TransformersConverter(
        str(demo_folder()), copy_files=["tokenizer.json", "preprocessor_config.json"]
    )
    converter.convert(target, quantization="float32")
    network = import_module("faster_whisper").WhisperModel(
        target, device="cpu", compute_type="float32", cpu_threads=threads
    )

    def transcribe(samples: Samples) -> list[str]:
        segments, _ = network.transcribe(
            samples, language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False,
            compression_ratio_threshold=None, log_prob_threshold=None, no_speech_threshold=None,
        )  # fmt: skip
        return " ".join(segment.text for segment in segments).split()

    return transcribe


def describe(options: Options, where: str, spoken: speech.Speech, outcomes: list[Outcome]) -> str:
    """Write the table."""
    ours = outcomes[0]
    rows = "\n".join(
        f"| {one.name} | {len(one.words)} | {100 * one.errors / len(spoken.words):.1f} % ({one.errors}/"
        f"{len(spoken.words)}) | {word_errors(one.words, ours.words)} | {speed(one, outcomes):.2f} |"
        for one in outcomes
    )
    return f"""# Long form

`python -m benchmarks.long_form --minutes {options.minutes:g} --rounds {options.rounds} --threads {options.threads}`

The embedded demo model in float32, greedy, without conditioning on previous text. Speech: {speech.source()},
{spoken.seconds / 60:.1f} minutes. Machine: {where}. \
Times are the median of {options.rounds} rounds in turns, relative to transformers in the same round; features are \
part of the time.

| program | words | word error rate | words that differ from ours | speed relative to transformers |
|---|---|---|---|---|
{rows}

![Speed relative to transformers](long_form.png)
"""


if __name__ == "__main__":
    main()
