"""Phrases that any story may use: times, sighs, openings, closings, songs."""

# ruff: noqa: E501 (a line of a template is a sentence, however long)

from __future__ import annotations

OPENINGS_NAMED = [
    "{h.full} lived {h.home}. <about> <oneday>, {h.they} {hook}.",
    "{h.home_first} lived {h.full}. <about> <oneday>, {h} {hook}.",
    "{h.home_first} there lived {h.full}. {h.They} {hook}.",
    "Once upon a time, there was {h.full}. <about> <oneday>, {h.they} {hook}.",
    "Once upon a time, {h.home}, there lived {h.full}. <about> {h} {hook}.",
    "There was once {h.full}. <about> {h.They} {hook}.",
    "Do you know {h.definite}? {h.They} lived {h.home}. <oneday>, {h.they} {hook}.",
    "This is the story of {h.full}. <about> <oneday>, {h.they} {hook}.",
    '"[What a day|I have an idea|Nobody will believe this|Something is going to happen today|Oh dear]," {h.said}. '
    "{h.They} was {h.a} and lived {h.home}. That day, {h.they} {hook}.",
    "<about2> {h.They} was {h.full}, and {h.they} {hook}.",
    "[Far away|Long ago|Not long ago|Long, long ago], {h.home}, {h.full} {hook}.",
    "{h.full} {hook}.",
    "{h.full} {hook}.",
    "{h.full} {hook}. {h.They} lived {h.home}. <about>",
    "{h.definite} {hook}.",
    "{h.definite} {hook}. <about>",
    "{h.definite} {hook}.",
    "{h} {hook}.",
    "{h} {hook}. <about>",
    "<oneday>, {h.full} {hook}.",
    "<oneday>, {h.definite} {hook}.",
    "Once, {h.full} {hook}.",
    "{h} was {h.a}. <about> <oneday>, {h.they} {hook}.",
    "{h} was {h.a} who lived {h.home}. <about> {h.They} {hook}.",
    "<about2> {h.definite} {hook}.",
    "<about2> {h.They} {hook}.",
    "It was [morning|evening|spring|summer|autumn|winter|a quiet day|a windy day] when {h.full} {hook}.",
]

OPENINGS_NAMELESS = [
    "{h.a} lived {h.home}. <about> <oneday>, {h.they} {hook}.",
    "{h.home_first} lived {h.a}. <about> <oneday>, the {h.noun} {hook}.",
    "Once upon a time, there was {h.a}. <about> <oneday>, {h.they} {hook}.",
    "There was once {h.a} {h.home}. <about> {h.They} {hook}.",
    "{h.definite} {h.home} {hook}.",
    "{h.definite} {h.home} {hook}.",
    "{h.definite} {hook}.",
    "The {h.noun} {hook}.",
    "The {h.noun} {hook}. <about>",
    "The {h.noun} {h.home} {hook}.",
    "{h.a} {hook}.",
    "{h.a} {h.home} {hook}.",
    "<oneday>, {h.a} {hook}.",
    "<oneday>, {h.definite} {hook}.",
    "[Far away|Long ago|Not long ago], {h.a} {hook}.",
    '"[What a day|I have an idea|Nobody will believe this|Oh dear|How quiet it is]," said {h.definite}. '
    "{h.They} lived {h.home}. <about> <oneday>, {h.they} {hook}.",
    "Have you heard of {h.definite} {h.home}? <about> {h.They} {hook}.",
    "It was [morning|evening|spring|summer|autumn|winter|a quiet day|a windy day] when {h.definite} {hook}.",
    "Nobody knew how old {h.definite} {h.home} was. <about> {h.They} {hook}.",
]

OPENINGS_TELLER = [
    "My name is {me}, and I live {h.home}. <oneday>, I {hook}.",
    "When I was [five|six|seven|eight|little|small], I {hook}.",
    "I will tell you what happened [last week|yesterday|last summer|on my birthday]. I {hook}.",
    "I {hook}.",
    "My name is {me}. I {hook}.",
    "<oneday>, I {hook}.",
    "I am {me}. I like {liking} and {liking2}. <oneday>, I {hook}.",
]

OPENINGS = {"named": OPENINGS_NAMED, "nameless": OPENINGS_NAMELESS, "teller": OPENINGS_TELLER}

BANK = {
    "oneday": [
        "one day",
        "one day",
        "one morning",
        "one afternoon",
        "one evening",
        "one [sunny|windy|cold|bright|grey|quiet|warm|fine|foggy] [morning|day|afternoon]",
        "one day in [spring|summer|autumn|winter]",
        "on a [sunny|windy|cold|bright|grey|quiet|warm|fine] [morning|day|Sunday|Monday]",
        "early one morning",
        "late one [afternoon|evening]",
        "on the first day of [spring|summer|autumn|winter|May|June]",
        "on [Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday]",
    ],
    "sigh": [
        '"[Oh dear|What now|What a pity|It is no use|I will never do it]," {h.sighed}.',
        "{h} [sighed|sat down and sighed|felt small|hung {h.their} head].",
        "[A cloud passed over the sun|The day seemed very long].",
        "It was [not easy|hard|a sad moment].",
    ],
    "slowwork": [
        "[Day after day|Bit by bit|Little by little], [it got better|things changed|it went on].",
        "[It took time|It was not easy at first|It was slow work], but [nobody gave up|they had plenty of time|it was fun too].",
        "[The sun went up and down again.|The hours went by.|One day passed, and then another.]",
        "[First slowly, then faster.|Once, twice, three times.]",
        "",
        "",
    ],
    "noise": [
        "[Tap, tap|Bump, bump|Scratch, scratch|Whoo, whoo|Creak, creak|Plip, plop|Rattle, rattle|Hum, hum]"
    ],
    "glad": ["glad", "happy", "proud", "surprised", "full of joy"],
    "about": [
        "",
        "",
        "{h.They} was [{trait}|{trait} and {trait2}|rather {trait}|always {trait}|a bit {trait}].",
        "{h.They} [liked|loved] {liking}.",
        "{h.They} [liked|loved] {liking} and {liking2}[, but most of all {liking3}|].",
        "{h.They} had [a {colour} [hat|scarf|door|button|roof|ribbon|spot]|a {colour} spot on one side|a good heart|a small scratch that nobody noticed].",
        "Everyone [knew|liked] {h.o}[, even {the_pet}|].",
        "Nobody was as {trait} as {h.they} was.",
        "[Some said|People said|Everybody said] that {h.they} was [too|very|a bit] {trait}.",
        "[In the morning|At night|In winter|In summer], {h.they} [thought about {liking}|dreamed of {liking}|was happiest].",
    ],
    "about2": [
        "[Nobody|No one] in the whole [world|village|valley] was as {trait} as {h}.",
        "[Everyone|Everybody] [knew|liked|loved] {h.definite}.",
        "{h} [liked|loved] {liking} and {liking2}.",
        "{h} was [{trait}|{trait} and {trait2}|always {trait}].",
        "[Have you ever met|Have you met|Do you remember] {h.definite}?",
    ],
    "closing": [
        "",
        "",
        "",
        "[And that was that|So it was|And so it stayed].",
        "[They were friends from that day on|And they stayed friends for ever].",
        "[The sun went down, and everything was well|It was a good day|What a day it had been].",
        "And [if they have not stopped, they are still laughing|everyone lived happily|all was well].",
        "[That night|That evening], {h} [fell asleep with a smile|slept very well|thought about it all once more].",
        "And {h.their} heart was as [light as a feather|warm as fresh bread|full as the moon].",
        "[If you listen closely|If you go there], [you can still hear them laugh|you can still see {both.o} together].",
        "{h} [never forgot that day|smiled for a long time|told this story many times].",
        "[And the wind|And the moon|And the river] [was the only one who knew|had seen it all|told the story to the hills].",
        '"[What a lovely day|Tomorrow we will do it again|I am so glad that you are here]," {h.said}.',
    ],
    "night": [
        "",
        "[That night|In the night], {h} dreamed of [snow|white hills|the stars].",
        "And with that {h.they} fell asleep.",
    ],
    "song": [
        "The sun goes up, the sun goes down,\nand all is well in field and town.",
        "A little step, a little song,\nand soon the road is not so long.",
        "The wind may blow, the rain may fall,\na friend is warmer than a shawl.",
        "One for the river, one for the sea,\none for you and one for me.",
        "Over the hill and over the stone,\nnobody needs to walk alone.",
        "Round is the moon and round is the bun,\nsharing with friends is twice the fun.",
        "Hush, little leaf, and hush, little bee,\nthe moon hangs high in the apple tree.",
        "Big or small, short or tall,\nthere is a place for one and all.",
        "Slow and steady, left and right,\nhome before the fall of night.",
        "If you lose it, look again,\nin the sun and in the rain.",
        "Hey ho, the kettle sings,\nsoup is fit for queens and kings.",
        "Star so bright and star so small,\nshine tonight upon us all.",
    ],
    "encore": [
        "[Then|And] {h} sang a [little|new|small] song:\n<song>",
        "[And this is the song that they sang|On the way home they sang]:\n<song>",
    ],
    "theend": ["The end.", "And that is the end of the story.", "Good night."],
}

LIKINGS = """the rain|songs|old stories|the smell of {food}|{food}|counting things|the colour {colour}|long walks|
the sound of bells|puddles|questions|the wind|clouds|warm evenings|jokes|secrets|riddles|the stars|round
things|quiet mornings|snow|drums|maps|stripes|the sea|summer|trains|butterflies|cakes|the moon|games|
big words|soft blankets|looking out of the window|the first light of the day|birds|boats|parties"""
