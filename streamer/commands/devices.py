"""`streamer devices`: what can record."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamer.capture.portaudio import AudioUnavailable, input_devices, load_portaudio
from streamer.commands.complaints import complain
from streamer.commands.outcome import Exit


def devices() -> int:
    """List the microphones; take the number or a part of the name for `streamer listen --device`."""
    found = list(input_devices(load_portaudio()))
    if not found:
        raise AudioUnavailable("no input device: connect a microphone, or check that the sound server runs")
    table = Table("", "number", "name", "through", "channels", "hertz", box=None)
    for device in found:
        mark = "*" if device.default else ""
        table.add_row(
            mark,
            str(device.index),
            Text(device.name),  # as it is: brackets in it are no markup
            Text(device.host_api),
            str(device.channels),
            str(device.sample_rate),
        )
    Console().print(table)
    if any(device.default for device in found):
        complain("* is what `streamer listen` takes by itself")
    return Exit.OK
