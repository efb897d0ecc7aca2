"""The ten digits as phones, and each phone as targets of a formant synthesiser.

The formants of vowels are those of Peterson and Barney (1952) for men; those of consonants follow
Klatt (1980). Levels and durations were set by comparing spectrograms.
"""

from __future__ import annotations

from typing import NamedTuple

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Phone(NamedTuple):
    """The state of a vocal tract for `ms` milliseconds.

    Attributes:
        ms: duration in an unhurried voice.
        start: frequencies in hertz of the first three formants at its start.
        end: the same at its end; None if they stay.
        voice: level of the voice, 1 in a vowel.
        breath: level of the noise that goes through the formants (aspiration).
        hiss: level of the noise made at the teeth, lips or palate (frication).
        centre, width: hertz, where the hiss is loudest and how wide it is.
        nose: 1 if the sound leaves through the nose.
    """

    ms: float
    start: tuple[float, float, float]
    end: tuple[float, float, float] | None = None
    voice: float = 0.0
    breath: float = 0.0
    hiss: float = 0.0
    centre: float = 4000.0
    width: float = 2000.0
    nose: float = 0.0


def _stop(place: tuple[float, float, float], closed: float, centre: float) -> tuple[Phone, ...]:
    """Return a voiceless stop: silence, a burst at `centre` hertz, breath."""
    return (
        Phone(closed, place),
        Phone(14, place, hiss=1.0, centre=centre, width=1800),
        Phone(34, place, breath=0.35, hiss=0.12, centre=centre, width=2500),
    )


_TONGUE_TIP, _PALATE = (350.0, 1750.0, 2650.0), (320.0, 2050.0, 2600.0)

PHONES: dict[str, tuple[Phone, ...]] = {
    "IY": (Phone(130, (310, 2250, 2950), (280, 2320, 3020), voice=0.9),),
    "IR": (Phone(90, (330, 2050, 2750), (420, 1700, 2100), voice=0.95),),
    "IH": (Phone(95, (400, 1960, 2550), voice=1.0),),
    "EH": (Phone(110, (540, 1830, 2480), voice=1.0),),
    "AH": (Phone(130, (630, 1220, 2400), voice=1.0),),
    "EX": (Phone(60, (500, 1500, 2450), voice=0.75),),
    "AO": (Phone(150, (560, 860, 2420), (540, 950, 2300), voice=1.0),),
    "UW": (Phone(190, (330, 1350, 2300), (310, 950, 2250), voice=0.95),),
    "OW": (
        Phone(100, (520, 1000, 2350), voice=1.0),
        Phone(100, (470, 900, 2300), (360, 800, 2250), voice=0.85),
    ),
    "EY": (
        Phone(80, (500, 1900, 2520), voice=1.0),
        Phone(95, (440, 2050, 2600), (330, 2250, 2850), voice=0.95),
    ),
    "AY": (
        Phone(105, (720, 1180, 2450), voice=1.0),
        Phone(115, (640, 1400, 2480), (400, 2050, 2650), voice=0.95),
    ),
    "R": (Phone(75, (330, 1080, 1500), voice=0.75),),
    "ER": (Phone(95, (470, 1250, 1650), voice=0.8),),
    "W": (Phone(75, (310, 640, 2200), voice=0.7),),
    "N": (Phone(80, (280, 1650, 2600), voice=0.7, nose=1.0),),
    "V": (Phone(70, (260, 1150, 2250), voice=0.4, hiss=0.07, centre=5000, width=5000),),
    "Z": (Phone(95, (270, 1650, 2550), voice=0.4, hiss=0.35, centre=5800, width=1800),),
    "S": (Phone(125, (320, 1650, 2550), hiss=0.8, centre=5600, width=1700),),
    "F": (Phone(110, (300, 1050, 2200), hiss=0.2, centre=5200, width=6000),),
    "TH": (Phone(95, (320, 1350, 2500), hiss=0.15, centre=6300, width=4000),),
    "T": _stop(_TONGUE_TIP, 40, 4300),
    "TT": _stop(_TONGUE_TIP, 75, 4000),
    "K": _stop(_PALATE, 60, 2300),
}

SPELLING = {
    "zero": "Z IR R OW",
    "one": "W AH N",
    "two": "T UW",
    "three": "TH R IY",
    "four": "F AO ER",
    "five": "F AY V",
    "six": "S IH K S",
    "seven": "S EH V EX N",
    "eight": "EY TT",
    "nine": "N AY N",
}


def phones_of(word: str) -> list[Phone]:
    """Return the phones of a digit."""
    return [phone for name in SPELLING[word].split() for phone in PHONES[name]]
