"""Audio: read recordings from files and arrays, and cut them into pieces for a model.

May import `errors` and `kinds`.
"""

from __future__ import annotations

from workbench.audio.converter import AudioConverter
from workbench.audio.pauses import SampleRange, cut_at_pauses
from workbench.audio.reading import AudioSource, open_audio

__all__ = ["AudioConverter", "AudioSource", "SampleRange", "cut_at_pauses", "open_audio"]
