"""PortAudio through sounddevice: load it if it is there, list what can record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

INSTALL = (
    "the PortAudio library is missing. Install it: apt install libportaudio2 (Debian, Ubuntu), "
    "dnf install portaudio (Fedora), pacman -S portaudio (Arch), brew install portaudio (macOS)"
)

EXACTLY = "="
"""Before a name: that device and no other. A number before that says which of several with this name, if it is one."""


class AudioUnavailable(Exception):  # noqa: N818 (names a state of the machine, as the exit code does)
    """This machine cannot record: a library is missing, or no device fits."""


class NotInstalled(AudioUnavailable):
    """What it takes to record is not on this machine: trying again is of no use before that is done."""


@dataclass(frozen=True, slots=True)
class InputDevice:
    """Something that can record."""

    index: int
    name: str
    host_api: str
    channels: int
    sample_rate: int
    """What the device runs at by default, in hertz."""
    default: bool


def load_portaudio() -> Any:
    """Import and return the sounddevice module.

    Raises NotInstalled if there is no PortAudio library (or no sounddevice), AudioUnavailable if it does not start.
    """
    try:
        return import_module("sounddevice")
    except OSError as error:  # what sounddevice raises when it finds no library
        raise NotInstalled(INSTALL) from error
    except ImportError as error:
        raise NotInstalled("the Python package sounddevice is missing: pip install sounddevice") from error
    except Exception as error:  # its own PortAudioError cannot be named before it is there
        raise AudioUnavailable(f"PortAudio does not start: {error}") from error


def input_devices(portaudio: Any) -> Iterator[InputDevice]:
    """Yield what can record, in PortAudio's order. Raises AudioUnavailable if PortAudio does not tell."""
    try:
        host_apis, devices = portaudio.query_hostapis(), portaudio.query_devices()
    except Exception as error:  # PortAudioError; UnicodeDecodeError for a name that is not text
        raise AudioUnavailable(f"PortAudio does not list the devices: {error}") from error
    default = portaudio.default.device[0]
    for device in devices:
        if device["max_input_channels"] > 0:
            yield InputDevice(
                index=device["index"],
                name=device["name"],
                host_api=host_apis[device["hostapi"]]["name"],
                channels=device["max_input_channels"],
                sample_rate=round(device["default_samplerate"]),
                default=device["index"] == default,
            )


def find_input(portaudio: Any, device: str | None) -> InputDevice:
    """Return the device with this number, or the first whose name holds `device`; None takes the default.

    `=NAME` is the device with exactly this name, `NUMBER=NAME` the one with that number if there are several. Numbers
    are those of this start of PortAudio, and of no other. Raises AudioUnavailable, naming what there is.
    """
    devices = list(input_devices(portaudio))
    if not devices:
        raise AudioUnavailable("no input device: connect a microphone, or check that the sound server runs")
    if device is None:
        return next((found for found in devices if found.default), devices[0])
    number, exactly, name = device.partition(EXACTLY)
    if device.isdecimal():
        matches = [found for found in devices if found.index == int(device)]
    elif exactly and (not number or number.isdecimal()):
        matches = [found for found in devices if found.name == name]
        matches.sort(key=lambda found: str(found.index) != number)
    else:
        matches = [found for found in devices if device.casefold() in found.name.casefold()]
    if not matches:
        names = ", ".join(f"{found.index} {found.name!r}" for found in devices)
        raise AudioUnavailable(f"no input device {device!r}; there are: {names}")
    return matches[0]
