"""The cast of a story: characters, pairs and things, with the forms that sentences need."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

PRONOUNS = {
    "she": ("she", "her", "her", "herself"),
    "he": ("he", "him", "his", "himself"),
    "it": ("it", "it", "its", "itself"),
    "I": ("I", "me", "my", "myself"),
    "they": ("they", "them", "their", "themselves"),
    "we": ("we", "us", "our", "ourselves"),
}
_PRONOUN_FORMS = {"they": 0, "them": 1, "their": 2, "self": 3}


def possessive(text: str) -> str:
    """Return the possessive: Mia's, the fox's, James's."""
    return text + "'s"


@dataclass(frozen=True)
class Character:
    """Somebody in the story. `name` may be empty, and then the noun stands for it.

    `article` "my" makes the teller's own cat or uncle, spoken of in the third person.
    `owner` makes a relative of somebody ("her mother"); `pronoun` "I" makes the teller.
    """

    noun: str
    pronoun: str
    name: str = ""
    adjective: str = ""
    home: str = ""
    article: str = "a"
    owner: Character | None = None

    def form(self, key: str, rng: Random) -> str:
        """Return a form of the character: "" as subject, o as object, s as possessive, full, ..."""
        if key in _PRONOUN_FORMS:
            return PRONOUNS[self.pronoun][_PRONOUN_FORMS[key]]
        if key in SAYINGS:
            return self._said(rng.choice(SAYINGS[key]), rng)
        return getattr(self, "_" + (key or "subject"))(rng)

    def _subject(self, rng: Random) -> str:
        if self.pronoun == "I":
            return "I"
        if self.name:
            return self.name
        if self.owner:
            return f"{self.owner.form('their', rng)} {self.noun}"
        if self.article == "my":
            return f"my {self.noun}"
        long = self.adjective and rng.random() < 0.2
        return f"the {self.adjective} {self.noun}" if long else f"the {self.noun}"

    def _o(self, rng: Random) -> str:
        return "me" if self.pronoun == "I" else self._subject(rng)

    def _s(self, rng: Random) -> str:
        return "my" if self.pronoun == "I" else possessive(self._subject(rng))

    def _a(self, rng: Random) -> str:
        """Return an adjective and noun with an article, without the name: "a shy fox"."""
        if self.owner or (self.name and self.noun == self.name):
            return self._subject(rng)
        return f"{self.article} {self._described()}"

    def _described(self) -> str:
        return f"{self.adjective} {self.noun}".strip()

    def _full(self, rng: Random) -> str:
        """Return the character's introduction: "a shy fox named Pim"."""
        if self.pronoun == "I":
            return "I"
        if not self.name or self.noun == self.name:
            return self._a(rng)
        named = "" if self.article == "my" else rng.choice(("named ", "called "))
        return f"{self.article} {self._described()} {named}{self.name}"

    def _definite(self, rng: Random) -> str:
        """Return the introduction with the definite article: "the old robot", "Pim the fox"."""
        if self.pronoun == "I" or self.owner or self.noun == self.name:
            return self._subject(rng)
        if self.name and self.noun in ("girl", "boy"):
            return self.name
        if self.article == "my":
            return f"my {self.noun} {self.name}".strip()
        if self.name:
            return f"{self.name} the {self.noun if rng.random() < 0.7 else self._described()}"
        return f"the {self._described()}"

    def _call(self, rng: Random) -> str:
        """Return how others address the character, not capitalised."""
        if self.owner:
            return self.noun.capitalize()
        return self.name or rng.choice((f"little {self.noun}", f"dear {self.noun}", "my friend"))

    def _noun(self, rng: Random) -> str:
        return self.noun

    def _home(self, rng: Random) -> str:
        return self.home

    def _home_first(self, rng: Random) -> str:
        return self.home

    def _said(self, verb: str, rng: Random) -> str:
        who = self._subject(rng)
        manner = rng.choice(MANNERS) if verb in ("said", "asked") and rng.random() < 0.08 else ""
        if self.pronoun == "I" or rng.random() < 0.3:
            return f"{who} {verb}{manner}"
        return f"{verb} {who}{manner}"


SAYINGS = {
    "said": ("said",),
    "asked": ("asked", "asked", "asked", "wondered"),
    "cried": ("cried", "cried", "shouted", "called"),
    "whispered": ("whispered", "whispered", "murmured"),
    "sighed": ("sighed", "said", "mumbled"),
}
MANNERS = (" softly", " quietly", " gently", " slowly", " at last")


@dataclass(frozen=True)
class Pair:
    """Two characters together, the teller last: "Mia and Tom", "Tom and I"."""

    first: Character
    second: Character

    def form(self, key: str, rng: Random) -> str:
        """Return a form: "" as subject, o as object, or a plural pronoun."""
        if key in _PRONOUN_FORMS:
            pronoun = "we" if self.first.pronoun == "I" else "they"
            return PRONOUNS[pronoun][_PRONOUN_FORMS[key]]
        case = "o" if key == "o" else ""
        a, b = self.first.form(case, rng), self.second.form(case, rng)
        return f"{b} and {a}" if self.first.pronoun == "I" else f"{a} and {b}"


@dataclass(frozen=True)
class Thing:
    """An object with a look that stays: {thing} "red kite", {thing.noun} "kite"."""

    adjective: str
    noun: str

    def form(self, key: str, rng: Random) -> str:
        """Return a form: "" in full, only the noun, or ref, which is mostly the noun."""
        full = f"{self.adjective} {self.noun}".strip()
        if key == "noun" or (key == "ref" and rng.random() < 0.7):
            return self.noun
        return full
