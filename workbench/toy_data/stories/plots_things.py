"""Stories around a thing: lost, found, broken, shared, made, grown."""

# ruff: noqa: E501 (a line of a template is a sentence, however long)

from __future__ import annotations

from workbench.toy_data.stories.plot import Plot

FINDS = [
    {
        "what": "a map",
        "look": "It was [old and yellow|torn at one corner], with a red cross in the middle",
        "do": "They followed the dotted line over the [hill|bridge], past the [mill|three oaks], and dug where the cross was",
        "end": "In the ground was a tin box with {n} [buttons|marbles|gold coins] and a note: now it is your turn to hide something",
    },
    {
        "what": "a key",
        "look": "It was [small and golden|big and rusty], and nobody knew what it was for",
        "do": "They tried it in every door of the [house|village|castle]. It did not fit the gate, and it did not fit the cellar",
        "end": "Behind the ivy was a little door, and the key turned. Inside lay a garden full of [roses|pear trees|butterflies]",
    },
    {
        "what": "an egg",
        "look": "It was [blue with white spots|as big as a melon|still warm]",
        "do": "They wrapped it in a scarf and kept it warm for {n} days. They sang to it in the evening",
        "end": "Crack, went the egg, and out came a tiny [dragon|duck|owl] that looked at them and said peep",
    },
    {
        "what": "a bottle with a letter in it",
        "look": "The letter was written in [blue|brown] ink, and it smelled of the sea",
        "do": "It came from an island far away, from somebody who wanted to know if anyone was there. They wrote a long answer",
        "end": "Weeks later another bottle came back with a drawing of a palm tree and the words thank you",
    },
    {
        "what": "a lost [kitten|puppy|lamb|duckling]",
        "look": "It was wet and hungry, and it trembled",
        "do": "They dried it and gave it milk. Then they went from door to door and asked whose it was",
        "end": "An old man opened the last door, and his face lit up like a lamp. He had looked for it all day",
    },
    {
        "what": "a strange [seed|bean|bulb]",
        "look": "It was [striped|as black as coal|as big as a fist]",
        "do": "They planted it in a pot and watered it. For {n} days there was nothing but earth",
        "end": "Then a green tip came up, and it grew and grew until it bloomed with a flower like a [lantern|bell|star]",
    },
    {
        "what": "a hat",
        "look": "It was [tall and black|green with a feather], and it was much too big",
        "do": "Everybody who put it on became [very polite|a little silly|quite brave]. They tried it on all the neighbours",
        "end": "A magician came looking for it, and because they gave it back at once, he pulled a [rabbit|cake|dove] out of it for them",
    },
    {
        "what": "a coin",
        "look": "It shone in the [dust|grass|mud]",
        "do": "They thought of all the things it could buy: [sweets|a kite|a drum], [a balloon|ribbons|cakes]. Then they saw an old woman looking for something on the ground",
        "end": "It was her last coin. She was so grateful that she baked them a plum cake, and it tasted better than any sweets",
    },
    {
        "what": "a small door [in the wall|in a tree|behind the cupboard]",
        "look": "It was no higher than a [boot|cup], and it had a brass handle",
        "do": "They knocked three times. They waited. They knocked again, very politely",
        "end": "A mouse in a nightcap opened and asked them, please, to be a little quieter, but then it invited them in for tea",
    },
    {
        "what": "a feather",
        "look": "It was [long and golden|blue as the evening|white and very soft]",
        "do": "They asked the [crow|goose|hen] if it was hers, but it was not. They asked all the birds, one by one",
        "end": "The smallest bird of all had lost it, and to say thank you it sang for them every morning",
    },
    {
        "what": "an old [boat|cart|sled]",
        "look": "It had holes, and the paint was gone",
        "do": "They patched it with boards and painted it [blue|red|yellow]. It took {n} days, and they were dirty from top to toe",
        "end": "It was as good as new, and they went all the way down to the [bridge|mill|lake] in it, singing",
    },
    {
        "what": "a lamp",
        "look": "It was dusty, and it had a crooked handle",
        "do": "They rubbed it clean. Pouf, there was smoke, and a sleepy genie asked for their wish. They talked about it for a long time",
        "end": "They wished that the genie could be free. It laughed, turned into a warm wind, and still comes by on cold days",
    },
    {
        "what": "a baby bird under [the hedge|a tree]",
        "look": "It had hardly any feathers, and it cried peep, peep",
        "do": "They made a nest out of a [hat|basket] and fed it with crumbs and berries every hour",
        "end": "One day it flapped, jumped and flew. It turned one round above their heads before it was gone",
    },
    {
        "what": "footprints in the [snow|sand|mud]",
        "look": "They were [very big|very small], and they had only three toes",
        "do": "They followed them [around the pond|along the fence|up the hill] and behind the [barn|bakery|rocks]. They hardly dared to breathe",
        "end": "At the end of the prints stood a goose in big boots, who wanted to know why they had been following her all morning",
    },
]

_LOST = """
! [could not find|lost|had lost] {h.their} {obj}
?[It was {h.their} favourite {obj.noun}.|It had been a present from {g}.|Without it, nothing was any fun.]
[{h.They} looked|First {h.they} looked] {hide2}. It was not there. [{h.They} looked|Then {h.they} looked] {hide3}. [Nothing|It was not there either|There was only dust].
?<sigh>

"[What is the matter|What are you looking for], {h.call}?" asked {f.full}.
"My {obj} [is gone|is lost]," {h.said}. "[I have looked everywhere.|I had it this morning.|Have you seen it]?"
"[No, but I will help you|Let us look together|Four eyes see more than two]," {f.said}. "[Where were you yesterday|What did you do before lunch|Where did you see it last]?"
{h} [thought hard|closed {h.their} eyes and thought]. "[I went out to play|I was on my way home|I sat down to rest]," {h.said}. "[Oh|Wait]! [Now I remember|I know]!"

{both} ran [outside|back|as fast as they could]. And there, {hide}, [was|lay] the {obj}!
"[Hooray|There it is|We found it]!" {h.cried}. {h} [held the {obj.ref} tight|hugged the {obj.ref}|danced with joy].
?"[Thank you for helping me|I could not have found it alone]," {h.said}.
[From then on|After that], {h} [always put the {obj.ref} back in its place|took better care of it|never let the {obj.ref} out of sight]. <closing>
"""

_BROKEN = """
! [had|owned|loved] a {obj}, and one day it broke
[Crack|Snap|Crash]! [It fell to the ground|It slipped and fell|Somebody had stepped on it]. [Now the {obj.noun} was in two pieces.|There was a big crack in it.]
"[Oh no|My poor {obj.noun}]!" {h.cried}. {h} [picked up the pieces|wanted to cry|sat down and held it].
?"[Throw it away|Get a new one]," said [the neighbour|a passing crow]. But {h} did not want a new one.

{h.They} took it to {g.full}. "[Can you mend it|Can it be saved]?" {h.asked}.
"[Let me see|Show me]," {g.said}. "[We need glue, a bit of string, and patience|It will not be the same, but it will be strong|You hold, and I will tie]."
[They worked all afternoon.|{h} held it still, and {g} did the rest.|It took a long time, and nobody spoke.] [A little glue here, a drop of {colour} paint there|One knot, two knots, three knots], and it was done.

The {obj} had a [line|scar|patch] now, [but it was whole again|and it looked even better than before].
"[Everything worth keeping can be mended|That is where it was loved]," {g.said}.
{h} [smiled|was happy]. [And {h.they} liked the {obj.ref} more than ever.|Now it had a story.] 
"""

_SHARE = """
! [had|was given|got] [a big plate of|a whole basket of] {food}
"[All for me|Mine, all mine]!" {h.said}, and [sat down to eat|looked for a quiet place].
{f.full} came by. {f.They} [looked very hungry|had not eaten since yesterday|sniffed the air]. "[That smells good,|May I have a little]?" {f.asked}.
{h} [did not answer|held it tight|looked away]. "[It is only enough for one|Maybe later]," {h.said}.
{f} [went away sadly|nodded and sat down alone|said nothing more].

{h} [took a bite|started to eat]. But [it did not taste as good as before|the food stuck in {h.their} throat|something was wrong]. {h.They} [thought of {f}|looked at {f}], all [hungry|alone]. 
"[Wait|Come back]!" {h.cried}. "[I am sorry|I was silly]. [There is enough for two|Let us share it]."
So they [divided it|sat side by side and ate], a bite for {h.o} and a bite for {f.o}. [Now it tasted wonderful.|It was the best meal in a long time.]
?The next day, {f} came back with {food2}. "[Now it is my turn|Half is for you]," {f.said}.
[Food tastes best in good company.|What you share becomes more.|It is funny: half can be more than the whole.]
"""

_SEED = """
! planted a [seed|tiny seed|bean|nut] [in the garden|in a pot|by the wall]
"[Grow|Grow, little one]," {h.said}. [{h.They} gave it water.|{h.They} watered it every day.] 
[The next morning {h.they} looked|{h.They} looked the very next day]. There was [nothing|only earth].
[After three days|After a week], there was still nothing. "[Is it asleep|Maybe it does not like me,|Why does it not grow]?" {h.asked}.
?{h} [sang to it|told it stories|read to it]. 

"[Be patient|Seeds have their own clock|A seed cannot be hurried]," said {g.full}. "[Under the earth, much is going on|It is growing down before it grows up]."
So {h} waited. It rained. The sun shone. <slowwork>
And then, [one morning|when {h.they} had almost given up], [there was a tiny green leaf|something green peeped out]. "[Hello|There you are|Welcome]!" {h.cried}.
It grew [day by day|taller and taller], until it was [as tall as {h}|higher than the fence|a real tree]. In the [summer|autumn] it was full of [yellow flowers|red apples|sweet plums|white blossoms], and there were enough for everyone.
"[You see, it only needed time|That is what waiting is for]," {g.said}. <closing>
"""

_FIND = """
! [found|came upon|stumbled over] {w.what} [on the way to {place}|near {place}|one morning|]
{w.look}.
"[What is this|Where does it come from|Whose can it be]?" {h.asked}.
?{h.They} turned it over in {h.their} mind all the way home.
{h} showed it to {h.their} friend, {f.full}. "[How strange|Oh my]," {f.said}. "[We must find out more|Let us think|This could be the start of something]."

{w.do}. 
?"[What if it is dangerous|Are you sure]?" {f.asked}. "[Then we will be careful|Quite sure]," {h.said}.
?<slowwork>
{w.end}.
[{both} looked at each other and laughed.|"What a day," {h.said}.|"I am glad that we did it together," {f.said}.] <closing>
"""

_MADE = """
! [built|made|wanted to make] a {q}
"[What will it be|What are you doing]?" asked {f.full}.
"[Wait and see|It is a {q}]," {h.said}. "[Do you want to help|Will you hold this]?"
They [needed|looked for] a lot of things: {pack3}. They [hammered|glued|tied knots|sawed], and they [sang as they worked|got paint on their noses|laughed a lot].
?Once it all fell down, and they had to start again.
?"[It looks a bit crooked|Is it meant to look like that?]," {f.said}. "[That is how it should be|Crooked is beautiful]," {h.said}.

[At last|In the evening] it was ready. [It was not perfect, but it was theirs.|It was the best {q} in the world.] Everyone came to look. 
"[One, two, three|Ready, steady, go]!" {h.cried}, and [off it went|it worked|it really worked].
?It [rattled|wobbled] a little. Nobody minded.
"[What shall we build tomorrow?|Next time we will make it even bigger]," {f.said}. {h} [had an idea already|only smiled].
"""

_WIND = """
! [went out|was out walking] with {h.their} {obj} when a gust of wind came
Whoosh! The wind [took|snatched] the {obj.ref} and [carried it away|blew it high into the air].
"[Stop|Come back|Give it back]!" {h.cried}, and [ran|hurried] after it. 
The {obj.ref} flew over [the fence|a cow|the washing line]. It flew past [the church|a surprised goose|the baker's window]. [{h} ran and ran.|{h} jumped, but it was too high.]
?{s.full} saw it too and [ran along|joined in].

At last it [landed in a tree|got caught on a chimney|fell into the pond]. [It was much too high|It was too far away to reach]. 
"[I can help|Wait, I have an idea]," said {f.full}. {f.They} [fetched a long pole|climbed up|called the ducks], and [soon|a moment later] {h} had the {obj.noun} back.
"[How can I thank you?|You are so clever]," {h.said}. 
"[Let me hold it for a while|Play with me]," {f.said}. So they [played together|took turns] until [supper|the sun went down], and held on [very|] tight.
"""

_MAGIC = """
! found a {obj}, and it was not an ordinary {obj.noun}
When {h} touched it, it [hummed|glowed|whispered]: "[One wish, and only one|Make a wish, but think first]."
"[A mountain of {food}|To be as big as a house|That it is always Sunday]!" {h.cried}. [Bang|Pling], it was done.
At first it was [wonderful|great fun]. But [soon|after a while] {h} [felt sick|was lonely|could not fit through any door|missed the other days]. [Nobody could play with {h.o}.|It was too much of a good thing.]
"[Oh dear|What have I done?]," {h.said}. 

{f.full} [scratched {f.their} head|looked at it all]. "[Ask the {obj.noun} nicely|Say sorry to it|Perhaps it will listen]," {f.said}.
So {h} said [please|sorry], and [meant it|said it very softly]. The {obj.noun} [hummed again|glowed once more], and everything was as it had been.
"[What will you wish for now|Do you miss it]?" {f.asked}.
"[Nothing|Only that you stay for supper]," {h.said}. [They put the {obj.ref} on a high shelf.|They threw it into the deepest part of the lake.] <closing>
"""

_FIND_TOGETHER = """
! and {f.full} found {w.what} [on the way to {place}|near {place}|one morning|while they were playing|]
{w.look}.
"[What is this|Where does it come from|Whose can it be|Can we keep it]?" {f.asked}.
"[I have never seen anything like it|Let us find out|I have an idea]," {h.said}.
?They [asked {g}, but {g.they} did not know either|looked at it from all sides|told nobody].

{w.do}. 
?"[Are we allowed to do this?|My legs are shaking]," {h.said}. "[Mine too|Too late now]," {f.said}.
{w.end}.
[They looked at each other and laughed.|"This was the best day of all," {f.said}.|"I am glad that we did it together," {h.said}.] <closing>
"""

_LOST_TOGETHER = """
! and {f.full} [were playing with|were fighting over|shared] a {obj}, and then it was gone
"[Where is it?|You had it last|I only put it down for a moment]!" {h.cried}. "[No, you had it|It cannot be far]," {f.said}.
They looked {hide2}. They looked {hide3}. [It was in neither place.|No {obj.noun} anywhere.]
?"[Perhaps it is hiding from us|Maybe it went home]," {f.said}. They both had to giggle.
[Then {s.full} came by|Then they met {s.full}]. "[Are you looking for something|What is it]?" {s.asked}. "[I saw something just now, {hide}.|Have you looked {hide}]?"
They ran. And yes, there [was|lay] the {obj}, [a little dirty, but whole|as if nothing had happened].
"[Now you may have it first|Sorry that I was angry]," {h.said}. "[No, you first|So am I]," {f.said}. 
[So they played with it together, and asked {s} to join in.|In the end they gave it to {s} to try, and all three took turns.] <closing>
"""

PLOTS = [
    Plot("mover", _FIND_TOGETHER, {"w": FINDS}),
    Plot("child", _FIND_TOGETHER, {"w": FINDS}),
    Plot("mover", _LOST_TOGETHER),
    Plot("child", _LOST_TOGETHER),
    Plot("mover", _LOST, we=True),
    Plot("child", _LOST, we=True),
    Plot("mover", _BROKEN, we=True),
    Plot("mover", _SHARE, we=True),
    Plot("mover", _SEED, we=True),
    Plot("mover", _FIND, {"w": FINDS}, we=True),
    Plot("mover", _FIND, {"w": FINDS}, we=True),
    Plot(
        "mover",
        _MADE,
        {
            "q": "[rocket|flying machine|boat|tree house|kite|robot|cart|snow machine|sand castle|raft|soup machine|little theatre|bird house|balloon|drum|swing]"
        },
        we=True,
    ),
    Plot("mover", _WIND, we=True),
    Plot("mover", _MAGIC),
]
