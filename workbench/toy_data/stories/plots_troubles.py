"""Stories about a trouble from an open class: somebody is tired, jealous or in need of anything.

They say the same thing again in other words, so that a model learns to stay with the prompt.
"""

# ruff: noqa: E501, SIM905 (a line of a template is a sentence, lists of words read better as text)

from __future__ import annotations

from workbench.toy_data.stories import words
from workbench.toy_data.stories.plot import Plot

_DOINGS = """going up and down|standing still|waiting in line|washing dishes|being small|telling lies|eating soup|
getting up early|counting sheep|being alone|making noise|losing things|running in circles|saying good
night|wearing a hat|carrying stones|hiding|cleaning the floor|singing the same song|sitting in the dark|
being polite|sleeping late|watching the rain|asking the way|jumping over puddles|being looked at|growing|
shining all night|turning around|opening and closing|falling down|guarding the door|swimming
alone|chasing mice|reading maps|being brave|being scolded|making tea|looking for things""".replace(
    "\n", " "
).split("|")

_MATTERS = """Mondays|dust|loud music|spinach|puzzles|the cold|mirrors|long stairs|wet socks|homework|buttons|
baths|thunder|small rooms|medicine|big crowds|school|alarm clocks|stairs|winter coats|beans|carrots|
riddles|goodbyes|bedtime|the dentist|pink shoes|tight hats|fish soup|dark corners|empty plates|crowns|
rainbows|soap|feathers|speeches|comets|dinosaurs|ghosts|pirates|volcanoes|lightning|cobwebs|onions|
garlic|moonlight|circles|numbers|letters|secrets|surprises|birthdays|holidays|weddings|photographs""".replace(
    "\n", " "
).split("|")

_SINGLE = """crown tooth toothache machine ticket hiccup passport map sword moustache telescope elevator wig
cold birthday garden swimming-pool library computer trumpet bicycle mountain robot wheel ladder balloon
teapot cake submarine sandwich compass castle mirror recipe hat sister brother neighbour shadow
voice scarf plan name sneeze pancake banana strawberry rocket dinosaur skeleton box suitcase window
parachute fridge spaceship violin tail wing diary letter holiday puzzle cold""".replace(
    "-", " "
).split()

_LOSSES = """crown glasses keys shoes hat whiskers mittens memory courage voice slippers ticket wand sword
moustache tail shadow smile passport spoon umbrella homework diary wig compass stripes spots patience
balance teeth""".split()

_HEROES = [noun.replace("-", " ") for nouns, _ in words.MOVERS.values() for noun in nouns.split()]
_HEROES += [noun.replace("-", " ") for nouns, _ in words.STAYERS.values() for noun in nouns.split()]

_TROUBLES = [
    (_DOINGS, "{x}", "was [so |very |]tired of {x}", "I am tired of {x}"),
    (_DOINGS, "{x}", "did not like {x}", "I do not like {x}"),
    (_DOINGS, "{x}", "could not stop {x}", "I cannot stop {x}"),
    (_DOINGS, "{x}", "was proud of {x}", "I am proud of {x}"),
    (_MATTERS, "{x}", "did not like {x}", "I do not like {x}"),
    (_MATTERS, "{x}", "was afraid of {x}", "I am afraid of {x}"),
    (_MATTERS, "{x}", "knew everything about {x}", "I know everything about {x}"),
    (_MATTERS, "{x}", "[always |often |]dreamed of {x}", "I always dream of {x}"),
    (_MATTERS, "{x}", "had never heard of {x}", "I have never heard of {x}"),
    (_MATTERS, "{x}", "could think of nothing but {x}", "I can think of nothing but {x}"),
    (_HEROES, "the {x}", "was jealous of the {x}", "I am jealous of the {x}"),
    (_HEROES, "the {x}", "wanted to be a {x}", "I want to be a {x}"),
    (_HEROES, "the {x}", "was afraid of the {x}", "I am afraid of the {x}"),
    (_HEROES, "the {x}", "was waiting for the {x}", "I am waiting for the {x}"),
    (_HEROES, "the {x}", "saw a {x} in {h.their} dreams", "I dream of a {x}"),
    (_SINGLE, "a {x}", "wanted a {x}", "I want a {x}"),
    (_SINGLE, "a {x}", "had a {x}", "I have a {x}"),
    (_SINGLE, "a {x}", "needed a {x}", "I need a {x}"),
    (_SINGLE, "a {x}", "was looking for a {x}", "I am looking for a {x}"),
    (_SINGLE, "a {x}", "had a secret {x}", "I have a secret {x}"),
    (_SINGLE, "a {x}", "had never seen a {x}", "I have never seen a {x}"),
    (_LOSSES, "the {x}", "had lost {h.their} {x}", "I have lost my {x}"),
    (_LOSSES, "the {x}", "was looking for {h.their} {x}", "I am looking for my {x}"),
]


def _rows() -> list[dict[str, str]]:
    """Each trouble as told, as said, and what it is about."""
    return [
        {k: text.replace("{x}", x) for k, text in (("topic", topic), ("was", was), ("say", say))}
        for matters, topic, was, say in _TROUBLES
        for x in matters
    ]


_TALK = """
! {t.was}
?[It had begun long ago.|Nobody knew why.|It had always been like that.|It was a strange thing, but it was true.]
?<sigh>
{f.full} [came by|sat down beside {h.o}|looked at {h.o}]. "[What is it, {h.call}?|What is the matter, {h.call}?|Tell me all about it,|You look as if you had something to say,]" {f.said}.
"{t.say}," {h.said}. "[It is not easy.|That is all I can think of.|I have never told anyone.|Do you understand that?]"
["Because of {t.topic}?|"Did you say {t.topic}?|"Oh, {t.topic}!|"{t.topic}, I see,]" {f.said}. "[I know how that is|That could happen to anyone|My [uncle|cousin|mother] was just the same]."

[They talked about it for a long time|They sat together and thought about {t.topic}]. [{f} told a funny story about {t.topic}, and {h} had to laugh.|{f} drew a picture of it in the sand, and it looked so silly that they both laughed.|{f} made up a song about it.] <slowwork>
"[Now it is only half as bad|I never saw it like that before|You are a real friend]," {h.said}.
[From that day on|Since then], [whenever {h} thought of {t.topic}, {h.they} thought of {f} too|{h} and {f} had something that only they understood|{h} [smiled|laughed] when somebody said {t.topic}]. <closing>
"""

_HELP = """
! {t.was}
"{t.say}," {h.said} to [everyone|the wind|anybody who would listen]. [Nobody listened.|The others only laughed.|The others shook their heads.]
"[It is only {t.topic}|What is so special about {t.topic}?|Always {t.topic}, {t.topic}]," [said|grumbled] the {pet}. 
But {g.full} [did not laugh|listened]. "[{t.topic} can be a big thing|I knew somebody once who said the same|We should do something about it]," {g.said}. "[Come with me|I have an idea|Wait until tomorrow]."

[The next day|That very evening|A little later], {g} [took {h.o} to {place}|brought a big box|called all the friends together]. [There was a surprise.|{h} could hardly believe it.] {f.full} was there, who said, "{t.say}, [too|just like you]!"
"[You too|Really|And I thought I was the only one]!" {h.cried}. [They had so much to talk about.|They laughed until their bellies hurt.]
[It was still about {t.topic}, but now there were two of them.|Two are better than one, and with {t.topic} it is just the same.] 
"[Thank you|You are very wise]," {h.said} to {g.o}. {g} only [smiled|winked]. <closing>
"""

_SEARCH = """
! {t.was}
So {h} [asked everyone about it|thought about it day and night|made a plan]. 
First {h.they} asked the {pet}. "[{t.topic}? I know nothing about it|I am too busy for {t.topic}]," said the {pet}. 
Then {h.they} asked {g.full}. "{t.say}," {h.said}. "[What shall I do?|Can you help me?|What would you do?]" 
"[Ask {f}|{f} will know]," {g.said}. "[Nobody knows more about such things|That is somebody with a good heart]."

{f} [was {f.a}|was {f.a} and lived not far away]. {f.They} [listened|nodded slowly|thought for a while]. "[Hm, {t.topic}|So it is about {t.topic}]," {f.said}. "[I think you need a friend more than anything|Sometimes it is enough to laugh about it|Let us sleep on it, and tomorrow it will look different]."
And [so it was|it really was like that]. [In the morning everything looked different|After a good laugh it was not so bad any more], and {h} [did not worry any more|felt light again].
"[I will tell everyone about it|That was good advice]," {h.said}. <closing>
"""

PLOTS = [Plot("any", text, {"t": _rows()}) for text in (_TALK, _TALK, _HELP, _SEARCH)]
