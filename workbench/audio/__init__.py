"""Sound: recordings read from files and arrays, and cut into pieces a model can hear."""

from __future__ import annotations

from workbench.audio.converter import AudioConverter
from workbench.audio.pieces import Piece, cut_at_pauses
from workbench.audio.reading import AudioSource, open_audio

__all__ = ["AudioConverter", "AudioSource", "Piece", "cut_at_pauses", "open_audio"]
