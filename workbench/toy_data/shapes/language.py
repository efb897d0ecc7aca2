"""Writes texts about a scene: its caption, questions with their answers, detections.

Everything follows from the scene, so there is one right text, which can be compared letter for
letter. Things are named from left to right; of two things, one clearly above the other is named
first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from workbench.toy_data.shapes.scene import COLOURS, SHAPES, TEXTURES, Scene, Thing

GRID = 64  # boxes are rounded to this many steps per side
CODES = 1024  # of PaliGemma's <loc....> pieces
_APART = 0.1  # least distance for "left of" and "above" in a question
ANY = "shape"  # the noun for all of them


@dataclass(frozen=True)
class Turn:
    """A prompt, which ends with a line break, and the response to it."""

    prompt: str
    response: str


@dataclass(frozen=True)
class Kind:
    """A class of things: by shape, colour or texture, or by several of them; None takes any."""

    shape: str | None = None
    colour: str | None = None
    texture: str | None = None

    def takes(self, thing: Thing) -> bool:
        """Return whether the thing is of this kind."""
        return (
            self.shape in (None, thing.shape)
            and self.colour in (None, thing.colour)
            and self.texture in (None, thing.texture)
        )

    @property
    def name(self) -> str:
        """In words, such as "striped red circle" or "red shape"."""
        words = (self.texture, self.colour, self.shape or ANY)
        return " ".join(word for word in words if word)

    @property
    def names(self) -> str:
        """The plural of the name."""
        return self.name + "s"

    def of(self, scene: Scene) -> list[Thing]:
        """Return the things of this kind in a scene, from left to right."""
        return [thing for thing in scene.things if self.takes(thing)]


def described(thing: Thing) -> str:
    """Return a thing with its article, such as "a large striped red circle"."""
    texture = [] if thing.texture == "plain" else [thing.texture]
    return " ".join(["a", thing.size, *texture, thing.colour, thing.shape])


def caption(scene: Scene) -> str:
    """Return one clause about the whole scene."""
    things = scene.things
    if len(things) == 2:
        left, right = things
        if abs(left.y - right.y) > right.x - left.x:
            upper, lower = sorted(things, key=lambda thing: thing.y)
            return f"{described(upper)} above {described(lower)}"
        return f"{described(left)} left of {described(right)}"
    return _listed([described(thing) for thing in things])


def _listed(items: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(items[:-1]), items[-1]) if part)


def location(box: tuple[float, float, float, float]) -> str:
    """Return four pieces for y0, x0, y1, x1, each rounded to the grid."""
    steps = (min(max(round(GRID * edge), 0), GRID - 1) for edge in box)
    return "".join(f"<loc{CODES // GRID * step:04d}>" for step in steps)


def detection(scene: Scene, kinds: Sequence[Kind]) -> str:
    """Return the boxes of all things of these kinds, each with the requested name."""
    found = [
        f"{location(thing.box)} {kind.name}"
        for thing in scene.things
        for kind in kinds
        if kind.takes(thing)
    ]
    return " ; ".join(found) or "none"


def caption_turn(scene: Scene) -> Turn:
    """Return the caption as a turn."""
    return Turn("caption en\n", caption(scene))


def detect_turn(scene: Scene, rng: Random) -> Turn:
    """Return a detection of something that is usually there: a kind, all shapes, or two kinds."""
    draw = rng.random()
    if draw < 0.2:
        kinds = [Kind()]
    elif draw < 0.32:
        kinds = [Kind(shape) for shape in rng.sample(_mixed(scene, "shape", SHAPES), 2)]
    else:
        kinds = [random_kind(scene, rng, absent=0.12)]
    return Turn(f"detect {' ; '.join(k.name for k in kinds)}\n", detection(scene, kinds))


def _mixed(scene: Scene, attribute: str, words: Sequence[str]) -> list[str]:
    """Return the words that the scene's things have, and one that they lack."""
    present = {getattr(thing, attribute) for thing in scene.things}
    absent = [word for word in words if word not in present]
    return sorted(present) + absent[:1]


def random_kind(scene: Scene, rng: Random, absent: float) -> Kind:
    """Return a kind of one of the scene's things or, with probability `absent`, of none.

    An absent kind usually shares a word with a thing, so that the model has to check every word.
    """
    thing = rng.choice(scene.things)
    parts = rng.choice((("shape",), ("shape", "colour"), ("shape", "colour"), ("colour",)))
    words = {part: getattr(thing, part) for part in parts}
    if rng.random() < 0.12:
        words["texture"] = thing.texture
    if rng.random() >= absent:
        return Kind(**words)
    changed = rng.choice(list(words))
    others = {"shape": SHAPES, "colour": COLOURS, "texture": TEXTURES}[changed]
    other = rng.choice(scene.things)
    kinds = [Kind(**{**words, changed: word}) for word in (getattr(other, changed), *others)]
    missing = [kind for kind in kinds if not kind.of(scene)]
    if not missing:
        return Kind(rng.choice(SHAPES), rng.choice(COLOURS))
    return missing[0] if rng.random() < 0.5 else rng.choice(missing)


def _count(scene: Scene, rng: Random) -> Turn | None:
    kind = Kind() if rng.random() < 0.2 else random_kind(scene, rng, absent=0.15)
    if len(scene.things) > 1 and rng.random() < 0.5:  # large counts are rare: look for them
        kinds = [Kind(t.shape) for t in scene.things] + [
            Kind(colour=t.colour) for t in scene.things
        ]
        kind = max(rng.sample(kinds, 4), key=lambda kind: len(kind.of(scene)))
    return Turn(f"how many {kind.names} are there?", str(len(kind.of(scene))))


def _presence(scene: Scene, rng: Random) -> Turn | None:
    kind = random_kind(scene, rng, absent=0.5)
    article = "an" if kind.name[0] in "aeiou" else "a"
    return Turn(f"is there {article} {kind.name}?", "yes" if kind.of(scene) else "no")


def _colour(scene: Scene, rng: Random) -> Turn | None:
    shape = rng.choice(scene.things).shape if rng.random() < 0.92 else rng.choice(SHAPES)
    found = Kind(shape).of(scene)
    word = "colour" if rng.random() < 0.75 else "color"
    if len(found) > 1:
        return None
    return Turn(f"what {word} is the {shape}?", found[0].colour if found else "none")


def _shape(scene: Scene, rng: Random) -> Turn | None:
    colour = rng.choice(scene.things).colour if rng.random() < 0.92 else rng.choice(COLOURS)
    found = Kind(colour=colour).of(scene)
    if len(found) > 1:
        return None
    return Turn(f"which shape is {colour}?", found[0].shape if found else "none")


def _texture(scene: Scene, rng: Random) -> Turn | None:
    thing = rng.choice(scene.things)
    if len(Kind(thing.shape).of(scene)) > 1:
        return None
    return Turn(f"is the {thing.shape} plain, striped or dotted?", thing.texture)


def _size(scene: Scene, rng: Random) -> Turn | None:
    thing = rng.choice(scene.things)
    if len(Kind(thing.shape).of(scene)) > 1:
        return None
    return Turn(f"is the {thing.shape} small or large?", thing.size)


def _extreme(scene: Scene, rng: Random) -> Turn | None:
    """Ask about the largest or smallest thing, only if no other thing has its size."""
    size, word = rng.choice((("small", "smallest"), ("large", "largest")))
    found = [thing for thing in scene.things if thing.size == size]
    if len(found) != 1:
        return None
    if rng.random() < 0.5:
        return Turn(f"which shape is the {word}?", found[0].shape)
    word_for_colour = "colour" if rng.random() < 0.75 else "color"
    return Turn(f"what {word_for_colour} is the {word} shape?", found[0].colour)


_RELATIONS: dict[str, Callable[[Thing, Thing], float]] = {
    "left of": lambda a, b: b.x - a.x,
    "right of": lambda a, b: a.x - b.x,
    "above": lambda a, b: b.y - a.y,
    "below": lambda a, b: a.y - b.y,
}


def _relation(scene: Scene, rng: Random) -> Turn | None:
    if len(scene.things) < 2:
        return None
    first, second = rng.sample(scene.things, 2)
    word, by = rng.choice(list(_RELATIONS.items()))
    alone = all(len(Kind(thing.shape).of(scene)) == 1 for thing in (first, second))
    if not alone or abs(by(first, second)) < _APART:
        return None
    answer = "yes" if by(first, second) > 0 else "no"
    return Turn(f"is the {first.shape} {word} the {second.shape}?", answer)


QUESTIONS: dict[str, Callable[[Scene, Random], Turn | None]] = {
    "count": _count,
    "presence": _presence,
    "colour": _colour,
    "shape": _shape,
    "texture": _texture,
    "size": _size,
    "extreme": _extreme,
    "relation": _relation,
}
_WEIGHTS = (4, 3, 3, 2, 2, 1, 2, 4)


def ask(kind: str, scene: Scene, rng: Random) -> Turn | None:
    """Return a question of a kind of `QUESTIONS` as a turn; None if it does not fit the scene."""
    asked = QUESTIONS[kind](scene, rng)
    return asked and Turn(f"answer en {asked.prompt}\n", asked.response)


def question_turn(scene: Scene, rng: Random) -> Turn:
    """Return a question of any kind and its answer as a turn."""
    while True:
        turn = ask(rng.choices(list(QUESTIONS), _WEIGHTS)[0], scene, rng)
        if turn is not None:
            return turn


def turns(scene: Scene, rng: Random) -> Iterator[Turn]:
    """Yield endless turns about one scene: a caption, a detection, then questions."""
    yield caption_turn(scene)
    yield detect_turn(scene, rng)
    while True:
        yield question_turn(scene, rng)
