"""Samplers: how the next token is picked. `get("top_k")`, `TopPSampler(p=0.9)`, or your own."""

from workbench.samplers.beam import BeamSampler
from workbench.samplers.contrastive import ContrastiveSampler
from workbench.samplers.history import History
from workbench.samplers.kinds import GreedySampler, RandomSampler, TopKSampler, TopPSampler
from workbench.samplers.registry import deserialize, get, serialize
from workbench.samplers.sampler import Sampler
from workbench.samplers.settings import Settings

__all__ = [
    "BeamSampler",
    "ContrastiveSampler",
    "GreedySampler",
    "History",
    "RandomSampler",
    "Sampler",
    "Settings",
    "TopKSampler",
    "TopPSampler",
    "deserialize",
    "get",
    "serialize",
]
