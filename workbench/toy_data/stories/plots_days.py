"""Stories of a day: weather, outings, food, family, night."""

# ruff: noqa: E501 (a line of a template is a sentence, however long)

from __future__ import annotations

from workbench.toy_data.stories.plot import Plot

_SNOW = """
! woke up, and the whole world was white
"[It has snowed|Snow, snow]!" {h.cried}. [It lay on every roof and every branch.|Everything was soft and quiet.] {h} [could hardly wait to go out|ran outside at once].
{f.full} was already there. "[Let us build a snowman|Let us go sledding|Catch]!" {f.cried}. [A snowball flew past.|Plop, there was snow on {h.their} nose.]
They built a {q}. It got [a carrot nose|two buttons for eyes|an old hat] and {h.their} {obj}. 
?"[It looks like {g}|It looks hungry]," {f.said}, and they laughed so much that they fell over.

[Then they slid down the hill|They slid and rolled], again and again, until their [fingers were cold|noses were red]. 
"[Come in|Time to get warm]!" called {g.full}. They had {food} and [hot chocolate|warm milk] by the stove. 
[Outside, new flakes fell|It grew dark early], and the {q} kept watch. 
"[Will it be there tomorrow|Is it cold out there alone]?" {h.asked}. "[It likes the cold|I am sure it will]," {g.said}. <night>
"""

_SEA = """
! went to the sea for the first time
[They got up when it was still dark.|The way was long, and {h} asked again and again if they were there yet.] {g.full} came along, and {h.their} friend {f} did too. They had packed {pack3}.
[Then, behind the last hill|And suddenly], there it was: [blue and wide|shining to the end of the world]. "[It is so big,|It never stops moving,|Who filled it]?" {h.asked}. "[The rivers did|Nobody knows]," {g.said}.
[The waves tickled their feet.|{h} ran away from each wave and then ran after it.] They [built a castle with {n} towers|dug a deep hole|looked for shells]. {f} found [a crab|a starfish|a green stone], and {h} found [a shell that hummed|a piece of blue glass].
?They ate {food}, with a bit of sand in it.
?A big wave [took the castle|came up to the blanket]. "[The sea wanted it|We will build a new one]," {h.said}.

[In the evening|When the sun went down] the sea turned [gold|red]. [Nobody wanted to go home.|They sat quite still.] "[Goodbye, sea|We will come back]!" {h.cried}. [Hush, said the sea.|The waves waved back.]
At home {h.they} put the shell to {h.their} ear. [And there it was, the whole sea, humming softly.|It was all in there.]
"""

_BED = """
! [did not want to go to bed|was not tired at all|could not fall asleep]
"[I am not tired|Only five more minutes|I need a glass of water]," {h.said}. 
"[It is late|Even the birds are asleep|The moon is up]," said {g.full}.
?First {h.they} wanted [water|a song]. Then {h.they} wanted [the window open|another pillow]. 
"[What does the {pet} do at night|Where does the sun sleep|Do fish close their eyes]?" {h.asked}.
"[I will tell you|Lie down and listen]," {g.said}. "[The {pet} curls up and puts its nose under its tail|The sun goes down behind the hill and pulls up the sea like a blanket|The flowers close their doors]. [The wind lies down in the grass|The bees are home]. [And the whole wide world is breathing slowly|Only the owl is awake, and she will watch over us all]."
"[And the {pet2}|And the stars|And the train]?" {h.asked}, [more quietly now|with a yawn].
"[They are sleeping too|They will be there tomorrow]," {g.said}. 
{h} [closed {h.their} eyes, only to try it|hugged {h.their} {obj}]. [In, and out|One breath, two breaths, three], and [{h.they} was asleep|the day was over].
"Good night, {h.call}," {g.whispered}, and [put out the light|left the door open a little].
"""

_MARKET = """
! went to the market with {g.full}
[What a noise it was!|It was full of colours and smells.] There were [apples in red heaps|baskets of fish|carpets and pots], [hens in cages|flowers of every kind], and [a man with a monkey|somebody who played the fiddle|a woman who sold only buttons].
"[Stay close to me|Hold my hand]," {g.said}. They bought {pack3}. {h} looked [here and there|at everything], and [suddenly|all at once] {g} was gone.
{h} [looked left and right|stood quite still]. There were only strange [legs|faces] all around. {h.Their} [lip trembled|heart beat fast].
"[Have you lost somebody|Are you alone]?" asked {f.full}, who [sold honey|was sitting on a barrel|was eating a plum]. "[What does {g.they} look like|When did you see {g.them} last]?"
"[{g.They} has the kindest eyes in the world|{g.They} smells of soap and cinnamon|{g.They} has a basket with {food} in it]," {h.said}.
{f} [lifted {h.o} up|climbed on a box] and called out, so loud that the hens were silent. And [there|from the other side] came {g}, [out of breath|with arms wide open].
"[I only looked away for a moment|There you are]!" {g.cried}. [They held each other tight.|{h} held on to {g.their} coat with both hands.] 
To say thank you they gave {f} [the biggest apple|half of the {food}]. [And on the way home, {h} told the whole story twice.|It had been a good market day after all.]
"""

_COOK = """
! [cooked|made] [soup|a stew|a pie|pancakes] with {g.full}
"[What goes into it|What do we need]?" {h.asked}. "[A little of everything|Onions, carrots, and a song]," {g.said}. 
They cut [carrots|leeks|pumpkins] and [peeled potatoes|washed the beans]. {h} [stirred and stirred|stood on a stool and stirred]. [Steam rose to the ceiling.|It bubbled and hissed.]
"[Can I add something|Now the salt,]?" {h.asked}. [The lid fell off the jar|{h} sneezed], and [all the salt|half the pepper] fell in.
?"[Oh no, it is ruined|What have I done?]!" {h.cried}.
{g} [tasted it and coughed|took a spoon and made a face]. Then {g.they} laughed. "[We will make more of it|More water, more carrots, more guests]," {g.said}.

So they needed the biggest pot of all, and then there was so much that [the whole street|everyone from the neighbourhood] had to come. {f.full} brought [bread|a bowl and a spoon|{food}], and {s.full} brought [a fiddle|a hungry family|a joke].
"[This is the best I have ever eaten,|What is the secret]?" {f.asked}.
{h} and {g} looked at each other. "[Too much salt|That we will never tell]," {h.said}, and they [laughed until they cried|winked].
"""

_BABY = """
! had a new baby [brother|sister] at home
It was [very small and very red|as small as a loaf of bread], and it [cried all the time|slept all day]. Everybody said, "[How sweet|Oh, look at those fingers]!" Nobody looked at {h.o}.
"[When will it go back?|It cannot even play]," {h.said}. 
?{h.They} went and sat {hide}. [Nobody came to look.|It was quiet there, at least.]
That night, the baby [cried and cried|would not stop crying]. [Mother sang. Father carried it up and down.|They tried milk, a rattle and a lullaby.] Nothing helped.
{h} got up and [stood beside the cradle|looked at the baby]. {h.They} [made a funny face|showed it {h.their} {obj}|hummed the song of the {pet}]. The baby [stopped|hiccuped], [looked at {h.o} with round eyes|took hold of {h.their} finger], and laughed.
"It [likes you|has never laughed before]," [said Mother|whispered Father]. "[You are the only one who can do that|You will be the best big {sib} in the world]."
{h} [grew a little taller at these words|smiled]. "[It may stay|I will teach it everything I know]," {h.said}. "[When it is bigger, we can go to {place} together|It will need somebody clever]."
"""

_MOVE = """
! was moving to a new house
[Everything was in boxes|The rooms were empty, and they echoed], even {h.their} {obj}. "[I do not want to go,|Who will live in my room now]?" {h.asked}.
"[A house is only walls|We take the best things with us]," said {g.full}.
{h} said goodbye to [the apple tree|the squeaky stair], to [the crack in the wall that looked like a {pet}|the spider in the attic], and to {h.their} friend {f}. "[I will write to you|We will always be friends]," {f.said}.

The new house was [big and strange|cold]. It [smelled of paint|made other noises at night]. {h} lay awake. [Creak, said the floor.|Tap, tap, said the window.]
"[Are you trying to speak to me?|I am {h.call}, and I live here now]," {h.whispered}. 
[In the morning|The next day] the sun came through the window, and [there was a tree to climb|{h.they} saw a {pet} on the fence|on the wall it painted a shape like a {pet}]. [Somebody knocked at the door.|There was a knock.] It was {s.full} from next door, with {food}. "[Do you want to see the secret path|Shall I show you {place}]?" {s.asked}.
{h} [put on {h.their} shoes|nodded]. [And slowly the house began to be a home.|That evening the floor said creak, and {h} said good night.]
"""

_TOOTH = """
! had a loose tooth
It [wobbled to the left and to the right|went wiggle, wiggle]. "[Does it hurt|When will it come out]?" asked {f.full}. "[Only a little|Soon, I hope]," {h.said}.
{h} [ate an apple|bit into {food}]. [It did not come out.|Wiggle, wiggle.] {h} [tied a string to it|jumped up and down]. [It still did not come out.|No, not yet.]
?"[It will come when it wants to|Leave it alone]," said {g.full}.
Then {f} told [a joke about a cow|a story about a flea], and {h} laughed so loud that, plop, the tooth flew out [and rolled under the stove|into the soup|and landed in the grass].
"[My tooth|Where is it?]!" {h.cried}. They looked {hide2} and {hide3}. [{f} found it at last.|There it lay, small and white.]
That night {h.they} put it under the pillow, with a letter: "[Dear fairy, please be careful with it|Dear mouse, this is my best one]."
In the morning there was [a silver coin|a tiny {colour} kite|a note in very small writing]. [It said: thank you, it is a very fine tooth.|And where the tooth had been, {h.their} tongue found something new and sharp.]
"""

_MUSIC = """
! wanted to play in the [village|school|forest] band
[There was a drum|There were fiddles], there was a trumpet, and there was [a big bass|a flute]. But {h} had [no instrument|only an old pot and a spoon|nothing but a comb]. "[Then you cannot play|Come back when you have one]," said {f.full}, who [led the band|played the trumpet].
{h} [went home|walked down to the river] and listened. [The rain went plip, plop.|The wind sang in the reeds.] [The gate went squeak.|A frog said quark.] "[All this is music too|I hear it everywhere]," {h.said}. 
{h.They} [filled glasses with water and tapped them|made a flute out of a reed|put peas into a tin and shook it]. [It sounded like stars.|It sounded like summer rain.]

On the day of the big concert, [the drum had a hole|the trumpet was ill|half of the band had a cold]. "[What shall we do?|We must send everyone home]," {f.said}.
"[I can play,|May I try]?" {h.asked}. And {h.they} played. It was [quite still|as quiet as snow]. [One after the other joined in.|The others found the tune and came along.] 
When it was over, nobody clapped for a moment, and then [everybody did|the clapping would not end].
"[Will you play with us again?|I was wrong]," {f.said}. "[What is it called, this instrument of yours]?" 
"[Listening|It has no name yet]," {h.said}.
"""

_PAINT = """
! [loved to paint|painted all day long|was painting a picture]
{h.They} painted [houses|trees] [in blue|upside down], [purple cows|green horses], and suns with [faces|hats]. "[Cows are not purple|That is wrong]," said {f.full}. "[Trees are green, and that is that|You must paint things as they are]."
{h} [put down the brush|became unsure]. So {h.they} painted a [brown cow|green tree], just as it was. It was [right|correct], but [it made nobody happy|it looked sad].
"[What do you think of it|Is it better now]?" {h.asked}. {g.full} looked at it for a long time. "[It is a cow|It is very good]," {g.said}. "[But I cannot see you in it.|Where are you in the picture]?"

[That evening|On the way home] the sun went down. [Everything was purple: the hill, the fence, and the cows.|The light was gold and blue, and the trees were too.] {f} [stood there with an open mouth|rubbed {f.their} eyes]. "[They are purple|I never saw that before]," {f.said}.
"[I did|They often are]," {h.said}. 
The next day they painted together. {f} painted [an orange sea|a checked elephant]. [And nobody said that it was wrong.|"That," {h.said}, "is exactly how it is."]
"""

_PICNIC = """
! and {f.full} went on a picnic
They packed {food}, {food2} and [a big blanket|plums]. [The sun shone|There was not a cloud in the sky], and they walked [through the meadow|up the hill] to [a shady tree|the best place of all].
"[Now we will eat|I am so hungry]!" {f.cried}. But when they opened the basket, [it was empty|there was hardly anything left]. There was a small hole in it, and a trail of crumbs went [back down the path|into the grass].
"[Who did this?|Thief]!" {h.cried}. They followed the crumbs [on tiptoe|round the bend], and at the end they found {s.full} with {n} little ones, all of them [licking their lips|with full cheeks].
"[I am so sorry,|Was it yours]?" {s.said}. "[We found it on the road|My little ones were hungry, and it just fell before our feet]." 
{h} wanted to be angry. But [the little ones looked so happy|one of them gave {h.o} the last crumb], and {h.they} had to laugh. 
"[Come, we will pick berries|Do you know where the cherries grow?]," {h.said}. {s} knew. There were [so many that the branches bent|berries as big as thumbs]. They all ate until [their mouths were blue|they could eat no more].
"[It was the best picnic ever|Next time we will bring a bigger basket]," {f.said}. [And a basket without a hole.|And so they did.]
"""

_FISH = """
! went fishing with {g.full}
They sat [in the boat|on the bank|on the pier] and held their rods over the water. [Nothing happened.|The water was as smooth as glass.] 
"[When will they bite|Is it always so slow]?" {h.asked}. "[Shh|Soon, or later]," {g.said}. 
{h} [watched a dragonfly|counted clouds]. A [duck|frog] came past. [Still nothing.|No fish.] "[What do you think about all this time|Is it not boring]?" {h.asked}.
"[I think of nothing, and that is the best part|Look, and you will see]," {g.said}.
So {h} looked. {h.They} saw [the light dance on the water|a snail climb up a reed], and [a heron, as still as a post|the wind draw lines on the lake]. {h.They} heard [a bell from far away|the grass]. [{h.They} forgot to ask.|And the time went by, and {h.they} did not notice.]
Then there was a tug. "[I have one|Pull, pull]!" {h.cried}. It was a [silver fish|golden fish] with [wise|round] eyes. It looked at {h.o}, and {h.they} looked at it. 
"[It is too beautiful|I think it wants to go home]," {h.said}, and let it go. [Splash!|The fish flicked its tail and was gone.]
They had {food} for supper. "[Did you catch anything|Was it a good day]?" asked {h.their} friend {f}. 
"[The whole lake|Everything]," {h.said}, and {g} nodded.
"""

_RAIN = """
! had to stay inside, because it rained and rained
[Plip, plop, it went on the roof.|The drops ran races on the window.] "[What shall we do?|I am so bored]," {h.said}.
"[We could look at the rain|Me too]," said {h.their} best friend, {f.full}. 
Then {h} saw [the blankets|the big table|two chairs and a broom]. "[This is a ship|Let us build a cave|It is a castle]!" {h.cried}. "[You are the captain|I am the cook|We need a flag]."
They took {pack3} and [set sail|crept inside]. [The carpet was the sea, and the slippers were sharks.|Outside there were dragons, and the stove was a volcano.] "[A storm|Pirates|A whale]! Hold on!" {f.cried}. 
?They [landed on an island made of pillows|found a treasure of biscuits]. 
[They sailed around the whole world before supper.|They were so far away that they did not hear when {g.full} called.]
"[The rain has stopped|Look, the sun]," {f.said} at last. {h} looked out. [A rainbow stood over the {roof}.|Everything shone.]
"[Never mind|Not now]," {h.said}, "[we have not reached {place} yet|I hope that it rains tomorrow]."
"""

_SCHOOL = """
! went to school for the first time
{h.Their} [bag|coat] was new, and {h.their} belly felt [funny|full of butterflies]. "[What if nobody likes me|What if I cannot do it]?" {h.asked}. "[Then you will learn it|You are kind, and that is enough]," said {g.full}.
[The door was big and heavy.|It was full and loud.] {h} sat down [in the last row|by the window]. Beside {h.o} sat {f.full}, who [said nothing|looked at the floor|held on to a {obj}].
"[What is your name|Are you afraid too]?" {h.asked}. {f} nodded. "[A little|Very much]," {f.whispered}. 
"[Me too|Then we are two]," {h.said}. And [that was better at once|then it was only half as bad]. 
The teacher [told a story about a whale|wrote a letter on the board, as round as a plum]. They [sang a song|counted to {n}|drew a tree]. {h} could do [more than {h.they} thought|it]. {f} showed {h.o} how to [tie a bow|fold a boat], and {h} shared {h.their} {food}.
"[How was it?|Tell me everything]," {g.said} in the evening.
"[I have a friend|I can write half of my name]," {h.said}. "[When does it start again|Is it tomorrow yet]?"
"""

_TRAIN = """
! went on a long journey by train
[The whistle blew.|Puff, puff, went the engine.] {h} sat by the window with {pack3}. [Houses flew by|The town grew small], and then there were only fields.
Across from {h.o} sat {f.full}. {f.They} [was eating {food}|had a big bag on {f.their} knees|was looking out, rather sadly]. "[Where are you going|How far are you going]?" {f.asked}.
"[To see my {kin}|To the end of the line]," {h.said}. "[And you?|Where are you going]?" 
"[I do not know yet|Home, after a long time]," {f.said}. "[I get off where it is most beautiful|I am a little afraid that nobody will know me]."
[They shared the food.|They played a game: who sees the first cow?] A river came, then a [tunnel|bridge], [dark and loud|high and thin]. {h} [took {f.s} hand|held {h.their} breath]. Then it was light again, and there were mountains [white with snow|as blue as ink].
"[Here|This is it]," {f.said}. "[Thank you for the company|I will never forget this day]." {f.They} gave {h.o} a {obj} and [waved until the train was gone|got off].
{h} [looked at the {obj.noun}|leaned back]. [A long journey is short with a friend.|The train sang its song, and the song went: far, far, far.]
"""

_STARS = """
! could not sleep, so {h.they} went outside to look at the stars
{g.full} was already sitting there, [wrapped in a blanket|with a cup of tea]. "[You too|Come, sit down]," {g.said}.
There were [more stars than {h} could count|so many stars]. "[What is that one called|Who put them there|How far away are they]?" {h.asked}. 
"[That is the great bear|Very far. You would have to walk for a million years]," {g.said}. "[And that small one over there belongs to you|When I was little, I gave each one a name]."
"[Which one is mine|To me]?" {h.asked}. "[The one that winks|The one you like best]," {g.said}. {h} [looked for a long time|chose a small one]. [It was not the brightest, but it was kind.|It seemed to look back.]
?A shooting star ran across the sky. {h} [wished for something, but did not say what|held {h.their} breath].
"[Will it be there tomorrow|And if there are clouds]?" {h.asked}. "[Then it is behind them|Always]," {g.said}. 
{h} [leaned against {g.o}|yawned]. [It was so quiet that one could hear the night.|Somewhere an owl called.] And {h.they} [fell asleep under {h.their} star|never felt alone at night again].
"""

PLOTS = [
    Plot("mover", _SNOW, {"q": "[snowman|snow cat|snow bear|snow dog|snow king]"}, we=True),
    Plot("child", _SEA, we=True),
    Plot("mover", _SEA, we=True),
    Plot("child", _BED, we=True),
    Plot("mover", _BED, we=True),
    Plot("mover", _MARKET, we=True),
    Plot("mover", _COOK, we=True),
    Plot("child", _BABY),
    Plot("child", _MOVE),
    Plot("child", _TOOTH, we=True),
    Plot("mover", _MUSIC),
    Plot("mover", _PAINT),
    Plot("mover", _PICNIC, we=True),
    Plot("mover", _FISH, we=True),
    Plot("mover", _RAIN, {"roof": "[roofs|hill|church|lake|fields]"}, we=True),
    Plot("child", _SCHOOL, we=True),
    Plot("mover", _TRAIN, {"kin": "[aunt|cousin|grandmother|brother|sister|uncle]"}, we=True),
    Plot("mover", _STARS, we=True),
]
