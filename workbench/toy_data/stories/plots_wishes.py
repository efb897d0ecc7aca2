"""Stories that start with a wish: somebody wants to do a thing and does not know how."""

# ruff: noqa: E501 (a line of a template is a sentence, however long)

from __future__ import annotations

from workbench.toy_data.stories.plot import Plot


def _wish(
    do: str, tried: str, failed: str, advice: str, done: str, moral: str = ""
) -> dict[str, str]:
    return {
        "do": do,
        "tried": tried,
        "failed": failed,
        "advice": advice,
        "done": done,
        "moral": moral or "[good things need time|nobody learns alone|it is never too late to try]",
    }


MOVER_WISHES = [
    _wish(
        "fly",
        "{h.they} climbed onto [a stone|a low wall|a box|the fence] and jumped, as high as {h.they} could",
        "{h.they} landed in [a bush|a heap of leaves|the mud|a haystack]",
        "There are many ways to fly. We can build a [big kite|balloon|swing that goes very high]",
        "the wind lifted {h.o} up, over the [roofs|trees|fields], and the whole world looked small",
        "[there is more than one way to fly|a friend can be as good as wings]",
    ),
    _wish(
        "sing",
        "{h.they} opened {h.their} mouth and sang to the [trees|wall|birds|moon]",
        "only a [squeak|croak|rusty little sound] came out",
        "Do not push. Breathe slowly, and think of something you love",
        "a [clear|warm|soft] song came out, and even the [birds|leaves|crickets] were quiet to listen",
        "every voice has its own song",
    ),
    _wish(
        "dance",
        "{h.they} turned [round and round|on one foot|this way and that]",
        "{h.they} fell over [a bucket|a chair|{h.their} own feet]",
        "Listen to the music first. Let your feet hear it",
        "{h.they} danced [all evening|across the grass|from one end of the road to the other]",
    ),
    _wish(
        "swim",
        "{h.they} put one foot into the [water|pond|lake] and shivered",
        "the water splashed into {h.their} eyes, and {h.they} ran back to the bank",
        "Lie on your back first. The water will hold you, and so will I",
        "{h.they} floated like a leaf, and then {h.they} swam all the way to the [reeds|little boat|other side]",
        "[being brave can start with one small step|water is kind to those who are calm]",
    ),
    _wish(
        "paint",
        "{h.they} dipped a brush into the [blue|red|green] paint",
        "the paint dripped on the floor and the picture became one big [puddle|smudge|cloud]",
        "Look for a long time before you paint. Then paint only what you see",
        "{h.they} painted the [hill|river|old bridge] with the evening sun on it, and everybody wanted to look",
    ),
    _wish(
        "see the sea",
        "{h.they} climbed [the highest hill|a tall tree|up to the roof] to look for it",
        "there were only [fields|roofs|trees] and more [fields|roofs|trees]",
        "Follow the river. All rivers know the way to the sea",
        "there it lay, [wide|blue|bright] and shining, and the waves said hush, hush, hush",
        "[a long road is made of small steps|the best things are worth a walk]",
    ),
    _wish(
        "touch the moon",
        "{h.they} stood on [three boxes|a ladder|the top of the hill] and stretched",
        "the moon was still much too far away",
        "Come to the [pond|lake|well] tonight, and bring nothing but your hands",
        "the moon lay in the water, round and white, and {h} touched it very gently",
        "sometimes the moon comes down to us",
    ),
    _wish(
        "bake a [cake|loaf of bread|pie]",
        "{h.they} mixed flour and milk in a big bowl",
        "{h.they} forgot the eggs, and it came out as hard as a stone",
        "Read each step slowly, and do not open the oven too soon",
        "a [sweet|warm|golden] smell filled the air, and everybody came to have a slice",
    ),
    _wish(
        "read",
        "{h.they} opened a book and stared at the letters",
        "the letters looked like [ants|little black birds|tiny footprints] and said nothing",
        "Start with the first letter of your own name. It is a good friend to have",
        "{h.they} read a whole page aloud, and the story came alive",
        "every letter is a little door",
    ),
    _wish(
        "grow tall",
        "{h.they} stretched every morning and stood in the rain",
        "{h.they} was just as small as before",
        "You see things that tall ones miss. Look down, not up",
        "{h.they} found a lost [ring|key|coin] in the grass that no tall one had seen, and the whole village clapped",
        "small can be just right",
    ),
    _wish(
        "be brave",
        "{h.they} walked into the dark [wood|cellar|cave] alone",
        "a twig cracked, and {h.they} ran home again",
        "Brave ones are afraid too. They just keep walking",
        "{h.they} walked through the dark to fetch [help|a lantern|the doctor], and {h.their} legs hardly shook",
        "being brave is being afraid and going on",
    ),
    _wish(
        "have a friend",
        "{h.they} said hello to [a cloud|a gate|a snail|the wind]",
        "nobody said hello back",
        "If you want a friend, be a friend first",
        "{h.they} shared {h.their} [supper|umbrella|blanket] with somebody new, and soon they were laughing together",
        "a kind word is a good beginning",
    ),
    _wish(
        "play the [drum|flute|violin|trumpet|piano]",
        "{h.they} tried every morning before breakfast",
        "it sounded like [a cat in a bucket|a squeaky door|rain on tin]",
        "Play one note until you like it. Then play the next",
        "{h.they} played a [slow|merry|lovely] tune, and [the neighbours|all the children|the old people] tapped their feet",
    ),
    _wish(
        "find a treasure",
        "{h.they} dug holes [in the garden|on the beach|under every tree]",
        "{h.they} found only [worms|an old shoe|a rusty spoon|stones]",
        "Not every treasure is gold. Some are warm",
        "{h.they} found a [lost kitten|nest with four blue eggs|spring of clear water], and knew that it was better than gold",
        "the best treasures cannot be counted",
    ),
    _wish(
        "climb the [tallest tree|high mountain|old tower]",
        "{h.they} ran at it as fast as {h.they} could",
        "{h.they} slid down again and sat in the dust",
        "Do not look at the top. Look at the next step",
        "{h.they} stood at the very top, and the wind said well done",
        "even a high place is reached step by step",
    ),
    _wish(
        "catch a [star|cloud|rainbow]",
        "{h.they} threw a net into the sky",
        "the net came down with nothing but a leaf in it",
        "You cannot keep it, but you can look at it with a friend",
        "they sat side by side and looked up, and it was as if it belonged to both of them",
        "some things are lovelier when they are free",
    ),
    _wish(
        "make everyone laugh",
        "{h.they} put a [pot|flower pot|boot] on {h.their} head",
        "nobody even smiled",
        "Laugh first yourself, and do not try so hard",
        "{h.they} slipped on a [plum|pancake|wet leaf], sat down with a bump, and laughed, and then everyone laughed too",
    ),
    _wish(
        "ride a [bicycle|horse|scooter]",
        "{h.they} got on and held on tight",
        "{h.they} wobbled to the left, wobbled to the right, and fell off",
        "Look where you want to go, not at the ground",
        "{h.they} rode [down the lane|around the square|past the school] all alone, and the wind blew in {h.their} face",
    ),
    _wish(
        "build a [boat|house|bridge|tower]",
        "{h.they} put one plank on top of another",
        "it fell down with a great crash",
        "Build it low and wide first. Strong things begin at the bottom",
        "it stood [straight|firm|proud], and it did not fall even when the wind blew",
    ),
    _wish(
        "win the [big race|prize|contest]",
        "{h.they} practised every day until the stars came out",
        "{h.they} was always the last",
        "Do not count the others. Count your own steps",
        "{h.they} came third, which was better than ever before, and {h.they} felt like a [king|champion|winner]",
        "it is fine to be third and happy",
    ),
    _wish(
        "travel around the world",
        "{h.they} packed {pack3}",
        "{h.they} got only as far as the [corner|bakery|bridge] before {h.they} was homesick",
        "Take a friend with you, and start with the next village",
        "{h.they} saw [a river|a market|a town] {h.they} had never seen before, and came home with a full heart and a stone in {h.their} pocket",
    ),
    _wish(
        "stay awake all night",
        "{h.they} counted [stars|owls|the ticks of the clock]",
        "{h.they} fell asleep at number [nine|twelve|twenty]",
        "The night is not far away. Come and look at it with me, just for a while",
        "{h.they} saw the first [bat|star|light of the morning], and yawned, and was glad to go to bed",
    ),
    _wish(
        "whistle",
        "{h.they} blew and blew until {h.their} cheeks were red",
        "there was only air",
        "Make your lips as round as a pea, and blow as if you were cooling soup",
        "out came a whistle so [clear|loud|merry] that [a dog came running|a blackbird answered]",
    ),
    _wish(
        "count to one hundred",
        "{h.they} counted [pebbles|leaves|sheep|buttons]",
        "{h.they} lost {h.their} place after [seven|nineteen|forty] and had to start again",
        "Count in tens, and put a pebble down for each",
        "{h.they} said one hundred out loud, and it was the finest number in the world",
    ),
    _wish(
        "help somebody",
        "{h.they} went from door to door and asked",
        "everybody said that {h.they} was too [small|young|slow]",
        "Do not ask. Look, and you will see who needs you",
        "{h.they} carried water to [an old tree|a tired donkey|a sick neighbour], and it was just what was needed",
        "the smallest help can be the right one",
    ),
    _wish(
        "have a birthday cake",
        "{h.they} drew one in the sand",
        "a drawing does not taste of anything",
        "I have flour, and you have apples. Together that is a cake",
        "there was a cake with [one candle|five candles|plums on top], and {f} got the biggest slice",
    ),
    _wish(
        "hear a story",
        "{h.they} asked the [wind|river|old wall] for one",
        "it knew only one word and said it again and again",
        "Sit down. I am old, and I am full of stories",
        "{h.they} heard a story about a [dragon|ship|princess|flea], and then another, until the fire was low",
    ),
]

ANY_WISHES = [
    _wish(
        "see the world",
        "{h.they} asked every [bird|cloud|leaf] that came past to take {h.o} along",
        "nobody could carry {h.o}",
        "I will go and look for you. Then I will come back and tell you everything",
        "{h.they} heard about deserts, ships and mountains of ice, and it was almost like being there",
        "a good story can carry anyone",
    ),
    _wish(
        "be useful",
        "{h.they} waited for somebody to need {h.o}",
        "the days went by, and nobody came",
        "I have nowhere to sleep tonight. May I stay with you until it is light?",
        "{h} kept {f} safe and warm until the morning, and nothing could have been more useful",
        "everyone is needed somewhere",
    ),
    _wish(
        "sing",
        "{h.they} listened to the [birds|rain|wind] and tried to do the same",
        "only a [creak|hum|rattle|tiny sound] came out",
        "That is a good sound. Make it again, and I will sing with it",
        "together they made a song that could be heard [far away|all over the valley|until the stars came out]",
        "every voice has its own song",
    ),
    _wish(
        "be beautiful",
        "{h.they} looked at the [roses|stars|butterflies] and sighed",
        "{h.they} felt [plain|grey|dull] beside them",
        "Wait until the evening. Then I will show you what I see",
        "the evening light fell on {h.o}, and {h.they} shone like gold",
        "we cannot always see our own light",
    ),
    _wish(
        "have a friend",
        "{h.they} said hello to the [wind|rain|clouds]",
        "they were always in a hurry and never stayed",
        "I am not in a hurry at all. May I sit here with you?",
        "{f} came back every [day|morning|evening], and they talked about everything and nothing",
        "a friend is somebody who stays",
    ),
    _wish(
        "be tall",
        "{h.they} stretched and stretched toward the sky",
        "{h.they} was not one bit taller",
        "I like you as you are. From here I can tell you a secret without climbing",
        "{h.they} did not think about being tall any more, because there was so much to see close by",
    ),
    _wish(
        "dance",
        "{h.they} swayed a little to the left and a little to the right",
        "something [creaked|cracked|rattled], and {h.they} had to stop",
        "You can keep the beat, and I will do the steps",
        "{f} danced round and round, and {h} kept the beat, and it was a real dance",
    ),
    _wish(
        "know where the wind lives",
        "{h.they} asked the [leaves|clouds|grass] as they blew by",
        "they only laughed and flew on",
        "I once followed it. It lives wherever somebody leaves a window open",
        "the wind came by that night, sat down for a moment, and was quite still",
    ),
    _wish(
        "sleep",
        "{h.they} counted [sheep|stars|raindrops]",
        "{h.they} was still wide awake at [midnight|dawn]",
        "Perhaps you have not said good night to anyone. Good night",
        "{h.they} said good night to the [moon|hill|town], and before the last word was out {h.they} was asleep",
    ),
    _wish(
        "give a present",
        "{h.they} looked at everything {h.they} had",
        "it did not seem to be much",
        "You have something that I do not have. You have time",
        "{h.they} listened to {f} the whole afternoon, and {f} said it was the best present ever",
        "time is a present too",
    ),
    _wish(
        "be somebody else",
        "{h.they} made a list of all the others {h.they} would like to be",
        "the list was long and made {h.o} tired",
        "If you were somebody else, I would miss you",
        "{h.they} tore the list into little pieces and threw it to the wind, and felt light again",
        "it is good to be who you are",
    ),
    _wish(
        "see snow",
        "{h.they} looked up at the sky every [day|morning]",
        "there was only sun, and more sun",
        "I come from the north. I have kept a little of it in my [pocket|bag|feathers]",
        "three white flakes fell down and melted, and {h} never forgot how quiet they were",
    ),
]

_TEXT_MOVER = """
! [wanted to|longed to|wished to|dreamed about one thing: {h.they} wanted to|wanted, more than anything, to|could not sleep, because {h.they} wanted to|had a [big|secret|strange] wish. {h.they} wanted to] {w.do}
?[All {h.their} friends|The others|Everyone] [laughed at this|said it was impossible|shook their heads].
?"[Somebody like me|One day I] [will do it|will learn it]," {h.said}. "[You will see|Just wait]!"

<oneday>, {w.tried}[, but|. But] {w.failed}.
["Ouch|"Oh no|"Oh dear]!" {h.cried}. [|{h.they} wanted to [give up|cry|go home].|{h.they} tried [again|once more|two more times], but it was no good.]
?<sigh>

[Then|Just then|At that moment] {f.full} came [by|along|down the path]. "[What is wrong|Why do you look so sad|What are you doing], {h.call}?" {f.asked}.
"I [want|wish|would like] to {w.do}," {h.said}, "but I [do not know how|cannot do it|always fail]."
{f} [thought for a moment|nodded slowly|smiled|sat down beside {h.o}]. "{w.advice}," {f.said}.

[So they tried it together|So {h} did just that|{h} listened carefully and tried again]. <slowwork> [And then|And at last|And one fine day], {w.done}.
["I did it|"Look at me|"Hooray]!" {h.cried}.
?"I knew [you could|it]," {f.said}.
[From that day on|After that|Ever since], {h} [knew|never forgot|told everyone] that {w.moral}.
"""

_TEXT_ANY = """
! [wanted to|longed to|wished to|dreamed about one thing: {h.they} wanted to|wanted, more than anything, to|had a [quiet|secret|strange] wish. {h.they} wanted to] {w.do}
{w.tried}[, but|. But] {w.failed}.
?<sigh>
?"[Perhaps|Maybe] it will never happen," {h.said}.

[Then <oneday>|One day|One evening] {f.full} [came by|stopped to rest|came along]. "[You look sad,|Why are you so quiet|What are you dreaming of]?" {f.asked}. 
"I [want|wish|would so like] to {w.do}," {h.said}.
{f} [did not laugh|thought about it|looked at {h.o} for a long time]. "{w.advice}," {f.said}.

<slowwork> [And then|And in the end|And that is how it happened that] {w.done}.
?"Thank you," {h.whispered}.
[From that day on|After that|Ever since], {h} knew that {w.moral}.
"""

_TEXT_SHORT = """
! [wanted to|wished to|always wanted to] {w.do}
"[But how?|Is that possible?|Can somebody like me do that?]" {h.asked}.
{g.full} heard this. "{w.advice}," {g.said}.
First {w.tried}, and {w.failed}. [The second time was better.|The next day was a little better.|{h} did not give up.]
?"[Try again|Once more|Do not be sad]," {g.said}.

And on the [third day|seventh day|last day of summer], {w.done}.
{h} was so <glad> that {h.they} [hugged {g.o}|could not say a word|told everyone about it].
"[You see|There]," {g.said}, "{w.moral}."
"""

PLOTS = [
    Plot("mover", _TEXT_MOVER, {"w": MOVER_WISHES}),
    Plot("mover", _TEXT_MOVER, {"w": MOVER_WISHES}),
    Plot("mover", _TEXT_SHORT, {"w": MOVER_WISHES}),
    Plot("any", _TEXT_ANY, {"w": ANY_WISHES}),
]
