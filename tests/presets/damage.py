"""Damaged copies of a file's bytes."""

from __future__ import annotations

import random


def mutants(data, count, seed=0):
    """Damaged copies: bits flipped, pieces cut, doubled, zeroed or made up, often early on."""
    chance = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 1, 2, 8])):
            reach = chance.choice([64, 2048, len(data)])
            place = chance.randrange(min(reach, len(damaged)) or 1)
            length = chance.choice([1, 4, 8, 64])
            piece = damaged[place : place + length]
            kind = chance.randrange(5)
            if kind == 0 and place < len(damaged):
                damaged[place] ^= 1 << chance.randrange(8)
            elif kind == 1:
                del damaged[place : place + length]
            elif kind == 2:
                damaged[place:place] = piece
            elif kind == 3:
                damaged[place : place + length] = bytes(len(piece))
            else:
                damaged[place : place + length] = chance.randbytes(len(piece))
        yield bytes(damaged)
