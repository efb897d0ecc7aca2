"""The story generator: casts a story, binds its things, renders a plot and lays out the page.

python -m workbench.toy_data.stories.generator 5        # print five stories
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from workbench.toy_data.stories import (
    plots_anywhere,
    plots_days,
    plots_people,
    plots_things,
    plots_troubles,
    plots_wishes,
    words,
)
from workbench.toy_data.stories.bank import BANK, LIKINGS, OPENINGS
from workbench.toy_data.stories.cast import Character, Pair, Thing
from workbench.toy_data.stories.grammar import Writer, capitalised, tidy
from workbench.toy_data.stories.plot import Plot

_PLOT_MODULES = (
    plots_wishes,
    plots_anywhere,
    plots_troubles,
    plots_things,
    plots_people,
    plots_days,
)
ALL_PLOTS = [plot for module in _PLOT_MODULES for plot in module.PLOTS]


def _tellable(plot: Plot) -> bool:
    together = re.match(r"\n! \[?and ", plot.text)
    return not together and (plot.we or not re.search(r"(?<![.\w])[Tt]he(y|ir|m)\b", plot.text))


_FOR_KIND = {
    "child": [p for p in ALL_PLOTS if p.suits == "child"] * 2
    + [p for p in ALL_PLOTS if p.suits == "mover"]
    + plots_troubles.PLOTS,
    "mover": [p for p in ALL_PLOTS if p.suits in ("mover", "any")] + plots_troubles.PLOTS,
    "stayer": [p for p in ALL_PLOTS if p.suits == "any"],
    "teller": [p for p in ALL_PLOTS if p.suits in ("child", "mover") and _tellable(p)],
}
_GROUPS = {**words.MOVERS, **words.STAYERS}
_COMPANY = {"sky": ("sky", "animal"), "water": ("water", "water", "cold")}
_LAND_COMPANY = ("animal", "farm", "child", "child", "person", "animal", "fable", "wild", "toy")


def invented_name(rng: Random) -> str:
    """Return an invented name of two or three syllables: Zibby, Orlomi, Tronk."""
    name = rng.choice(words.SYLLABLE_STARTS) + rng.choice(words.SYLLABLE_VOWELS)
    if rng.random() < 0.4:
        name += rng.choice("bdlmnrtvz") + rng.choice("aeio")
    name += rng.choice(words.SYLLABLE_ENDS if rng.random() < 0.5 else words.NAME_TAILS)
    return name.capitalize()


class Casting:
    """Chooses the characters of one story; no name or noun occurs twice."""

    def __init__(self, rng: Random, writer: Writer) -> None:
        self.rng = rng
        self.writer = writer
        self.taken: set[str] = set()

    def child(self) -> Character:
        """Return a girl or a boy with a name."""
        pronoun = self.rng.choice(("she", "he"))
        name = self._fresh(words.GIRLS if pronoun == "she" else words.BOYS)
        noun = "girl" if pronoun == "she" else "boy"
        adjective = self._adjective(0.5, words.TRAITS)
        return Character(noun, pronoun, name, adjective, self._home(words.CHILD_HOMES))

    def creature(self, group: str) -> Character:
        """Return a character from a group of `words`, about half of the time with a name."""
        nouns, homes = _GROUPS[group]
        noun = self._fresh(nouns.split()).replace("-", " ")
        pronoun = self._pronoun(noun, group)
        named = self.rng.random() < (0.3 if group in ("sky", "land", "building") else 0.55)
        name = self._name(pronoun) if named else ""
        looks = () if group == "person" else (words.COLOURS, words.LOOKS)
        adjective = self._adjective(0.75, words.TRAITS, words.TRAITS, words.TRAITS, *looks)
        adjective = "" if adjective in noun else adjective
        return Character(noun, pronoun, name, adjective, self._home(homes))

    def own(self) -> Character:
        """Return a character of the teller's: my uncle, my cat Bruno."""
        home = self._home(words.CHILD_HOMES)
        if self.rng.random() < 0.4:
            noun, pronoun, _ = self.rng.choice(words.ELDERS)
            return Character(noun, pronoun, home=home, article="my")
        noun, pronoun = self._fresh(words.OWNED), self.rng.choice(("she", "he"))
        return Character(noun, pronoun, self._name(pronoun), home=home, article="my")

    def companion(self, hero_group: str) -> Character:
        """Return a character that the hero may meet."""
        group = self.rng.choice(_COMPANY.get(hero_group, _LAND_COMPANY))
        return self.child() if group == "child" else self.creature(group)

    def elder(self, hero: Character, is_child: bool) -> Character:
        """Return an adviser: a relative, a neighbour, a wise old animal."""
        draw = self.rng.random()
        if draw < (0.5 if is_child else 0.1):
            noun, pronoun, _ = self.rng.choice(words.ELDERS)
            return Character(noun, pronoun, owner=hero)
        if draw < 0.75:
            pattern, pronoun = self.rng.choice(words.WISE_NAMES)
            name = pattern.format(self._fresh(words.SURNAMES))
            return Character(name, pronoun, name)
        noun = self._fresh(words.WISE_ANIMALS)
        return Character(noun, self.rng.choice(("she", "he")), "", self.rng.choice(words.AGED))

    def _fresh(self, options: Sequence[str]) -> str:
        free = [o for o in options if o not in self.taken]
        pick = self.rng.choice(free)
        self.taken.add(pick)
        return pick

    def _name(self, pronoun: str) -> str:
        if self.rng.random() < 0.45:
            return invented_name(self.rng)
        pools = {"she": [words.GIRLS, words.PETS], "he": [words.BOYS, words.PETS]}
        return self._fresh(self.rng.choice(pools.get(pronoun, [words.PETS])))

    def _pronoun(self, noun: str, group: str) -> str:
        if noun.replace(" ", "-") in words.SHE_NOUNS:
            return "she"
        if noun.replace(" ", "-") in words.HE_NOUNS:
            return "he"
        if group in ("machine", "building", "plant", "room", "sky", "land", "toy"):
            return self.rng.choice(("it", "it", "she", "he"))
        if self.rng.random() < 0.93 or group in ("person", "fable"):
            return self.rng.choice(("she", "he"))
        return "it"

    def _adjective(self, share: float, *pools: Sequence[str]) -> str:
        return self.rng.choice(self.rng.choice(pools)) if self.rng.random() < share else ""

    def _home(self, homes: str) -> str:
        return " ".join(self.writer.render(f"[{' '.join(homes.split())}]").split())


def write_story(rng: Random) -> str:
    """Return a story of 60 to 300 words, from the next numbers of `rng`."""
    writer = Writer(rng, BANK)
    kind, hook_kind = _bind_cast(rng, writer)
    _bind_common(rng, writer)
    plot = rng.choice(_FOR_KIND["teller" if hook_kind == "teller" else kind])
    writer.bind(**plot.slots)
    paragraphs = _paragraphs(rng, writer, plot, hook_kind)
    if hook_kind == "teller":
        paragraphs = [_told_by_us(paragraph) for paragraph in paragraphs]
    page = "\n\n".join(paragraphs) if rng.random() < 0.75 else " ".join(paragraphs)
    return _answers(rng, tidy(page))


_REPLY = re.compile(r'(\?"[^".?!]{3,60}\. "[^"?!]+," )said\b')


def _answers(rng: Random, page: str) -> str:
    """Replace some "said" after a question by "answered" or "replied", as templates cannot."""
    verbs = ("said", "said", "answered", "replied")
    return _REPLY.sub(lambda found: found.group(1) + rng.choice(verbs), page)


def stories(seed: int) -> Iterator[str]:
    """Yield endless stories; equal seeds give equal stories."""
    rng = Random(seed)
    while True:
        yield write_story(rng)


def _bind_cast(rng: Random, writer: Writer) -> tuple[str, str]:
    casting = Casting(rng, writer)
    kind = rng.choices(("child", "mover", "stayer"), (30, 45, 25))[0]
    group = rng.choice(sorted(words.MOVERS if kind == "mover" else words.STAYERS))
    hero = casting.child() if kind == "child" else casting.creature(group)
    if kind == "mover" and rng.random() < 0.15:
        hero = casting.own()
    writer.bind(me=hero.name or hero.noun, sib="sister" if hero.pronoun == "she" else "brother")
    hook_kind = "named" if hero.name else "nameless"
    if kind == "child" and rng.random() < 0.22:
        hero, hook_kind = replace(hero, pronoun="I"), "teller"
    friend = casting.companion(group if kind == "stayer" else "")
    writer.bind(
        h=hero,
        f=friend,
        s=casting.companion(group if kind == "stayer" else ""),
        g=casting.elder(hero, kind == "child"),
        both=Pair(hero, friend),
    )
    return kind, hook_kind


def _options(text: str) -> list[str]:
    """Return a list's alternatives at its top level, with nested brackets unchanged."""
    options, depth, current = [], 0, ""
    for character in " ".join(text.split()):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "|" and depth == 0:
            options.append(current.strip())
            current = ""
        else:
            current += character
    return [*options, current.strip()]


_HIDING, _FOODS = _options(words.HIDING_PLACES), _options(words.FOODS)
_PACKED, _OUTINGS, _LIKINGS = map(_options, (words.PACKED, words.OUTINGS, LIKINGS))


def _bind_common(rng: Random, writer: Writer) -> None:
    for name, options in (("hide", _HIDING), ("food", _FOODS), ("place", _OUTINGS)):
        first, second, third = rng.sample(options, 3)
        writer.bind(**{name: first, f"{name}2": second, f"{name}3": third})
    pet, pet2 = rng.sample(words.FAMILIAR, 2)
    trait, trait2 = rng.sample(words.TRAITS, 2)
    writer.bind(colour=words.COLOURS, n=words.NUMBERS)
    liking, liking2, liking3 = rng.sample(_LIKINGS, 3)
    writer.bind(liking=liking, liking2=liking2, liking3=liking3)
    writer.bind(pet=pet, pet2=pet2, the_pet=f"the {pet}", trait=trait, trait2=trait2)
    writer.bind(
        obj=Thing(*rng.choice(words.TREASURES)),
        pack3="{}, {} and {}".format(*rng.sample(_PACKED, 3)),
    )


def _paragraphs(rng: Random, writer: Writer, plot: Plot, hook_kind: str) -> list[str]:
    blocks = [block.strip().split("\n") for block in plot.text.strip().split("\n\n")]
    hook = blocks[0].pop(0).removeprefix("!").strip()
    first = _opening(rng, writer, writer.render(hook).strip(), hook_kind)
    kept = [" ".join(_told(rng, writer, block)) for block in blocks]
    ending = writer.render("<encore>") if rng.random() < 0.05 else ""
    farewell = writer.render("<theend>") if rng.random() < 0.04 else ""
    paragraphs = [f"{first} {kept[0]}", *kept[1:], ending, farewell]
    return [p.strip() for p in paragraphs if p.strip()]


_US = {"they": "we", "them": "us", "their": "our", "theirs": "ours", "They": "We", "Their": "Our"}


def _told_by_us(paragraph: str) -> str:
    """Replace "they" by "we" in the narration; quoted speech stays."""
    parts = paragraph.split('"')
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"\b[Tt]he(?:y|m|irs?)\b", lambda found: _US[found.group()], parts[i])
    return '"'.join(parts)


def _told(rng: Random, writer: Writer, lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("?") or rng.random() < 0.55:
            told = writer.render(line.removeprefix("?").strip()).strip()
            yield capitalised(told)


# Hooks that tell how things were, not what happened, and the openings that need a happening.
_STATES = (
    "loved", "liked", "lived", "often", "knew", "was full", "was proud", "thought", "always",
    "was getting", "was very", "was afraid", "asked", "waited", "was waiting", "painted",
    "owned", "had a secret", "kept a", "longed", "dreamed about", "was new",
)  # fmt: skip
_EVENT = re.compile(
    r"<oneday>, ({h[.a-z_]*}|I|the {h.noun}) {hook}|^It was|That day|what happened|^Once,|When I"
)


def _opening(rng: Random, writer: Writer, hook: str, hook_kind: str) -> str:
    options = [o for o in OPENINGS[hook_kind] if _fits(o, hook)]
    writer.slots["hook"] = hook
    return writer.render(rng.choice(options))


def _fits(opening: str, hook: str) -> bool:
    """Return whether the hook fits: not "she and Tom found", not "One day, she lived next to"."""
    if hook.startswith("and "):
        return opening.endswith("{hook}.") and "{h.they} {hook}" not in opening.lower()
    return not (hook.startswith(_STATES) and _EVENT.search(opening))


if __name__ == "__main__":
    shown = stories(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        print(next(shown), end="\n\n----\n\n")
