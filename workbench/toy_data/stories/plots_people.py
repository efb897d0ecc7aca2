"""Stories between people: friends, quarrels, secrets, truth, help."""

# ruff: noqa: E501 (a line of a template is a sentence, however long)

from __future__ import annotations

from workbench.toy_data.stories.plot import Plot

PLOTS = [
    Plot(
        "mover",
        """
! was new [here|in the neighbourhood], and {h.they} did not know anyone
?[Everything was strange: the streets, the smells, the sounds.|{h.They} missed {h.their} old home.]
{h.They} [stood at the edge and watched|sat alone by the fence|looked at the others] as they played. "[They do not want me|What if they laugh at me?]," {h.said}.
A ball rolled [right up to {h.their} feet|over the grass]. {f.full} came running after it. [They looked at each other.|Nobody said a word.]
"[Do you want to play|Can you catch|We need one more,]?" {f.asked}.
"[I am not very good at it,|I do not know the rules,|May I]?" {h.said}.
"[Nor am I|It does not matter|I will show you]," {f.said}, and [laughed|threw the ball].

They played [tag|hide and seek|catch|ball] until [it was dark|they were out of breath|their knees were green]. {f} showed {h.o} [the best hiding place|the shortest way to {place}|where the berries grow], and {h} [taught {f.o} a song from home|told {f.o} about the place {h.they} came from].
"[See you tomorrow,|Will you come again]?" {f.asked}.
"[Yes, please|Of course]," {h.said}. 
That night, the [new|strange] place felt a little like home.
""",
    ),
    Plot(
        "mover",
        """
! and {h.their} best friend, {f.full}, had a quarrel
It was about [a ball|who was faster|the last piece of cake|a silly word|who should go first]. "[You are mean|It was mine|You started it]!" {h.cried}. "[No, you|I do not want to play with you any more]," {f.said}. And {f.they} went away.
[The day grew long|It was very quiet]. {h} [kicked a stone|played alone|sat on the wall], but [it was no fun|nothing was any fun]. "[I do not need {f.o}|I do not care]," {h.said}, but that was not true.
?{g} [saw it|looked up from {g.their} work]. "[Who is wrong|Is it so important]?" {g.asked}. 

{h} [thought of|remembered] all the things they had done together: [the raft|the tree house], [the snowman|the picnic], [the secret song|the day of the big rain]. Then {h.they} [stood up|ran off] and went to look for {f}.
[Halfway|At the bridge], they met, because {f} had been looking for {h.o} too.
"I am sorry," they both said at the same time, and then they had to laugh.
"[What was it about|Why did we quarrel]?" {f.asked}. "[I forgot|I do not know any more]," {h.said}.
[And they shared the last of the {food}.|Arm in arm they went home.|And off they went to play.] <closing>
""",
    ),
    Plot(
        "mover",
        """
! [broke|knocked over] {q} by accident
[Crash|Bang]! [It lay on the floor in pieces.|There was nothing left but pieces.] [Nobody had seen it.|It was very quiet all of a sudden.] {h.Their} heart beat fast. 
"[Who did this|What happened here]?" asked {g.full} [that evening|a little later].
"[The cat|The wind|I do not know]," {h.said}. [It was a lie|That was not true], and it [felt like a stone in {h.their} belly|tasted bitter].
At supper {h.they} could not eat. At night {h.they} could not sleep. [The stone grew heavier|The moon looked in as if it knew].

[Early in the morning|At last], {h} [went to|stood in front of] {g.o}. "It was me," {h.whispered}. "[I was playing|I did not mean to]. [And I did not tell the truth|I am so sorry]."
{g} was quiet for a moment. Then {g.they} [took {h.o} in {g.their} arms|smiled a little]. "[Things can be mended|It was only a thing]," {g.said}. "[The truth is worth more|It was brave of you to tell me]."
[Together they swept up the pieces.|They glued it together, and it looked almost like new.] And the stone [was gone|had rolled away].
?That night, {h} slept [like a log|soundly and well].
""",
        {
            "q": "[the blue vase|the big mirror|the best teapot|a window|the flower pot|the old lamp|the yellow jug|the honey jar]"
        },
    ),
    Plot(
        "mover",
        """
! [had|was having] a birthday, and nobody seemed to know
"[Good morning,|What day is it today]?" {h.asked}. "[It is Tuesday|Just an ordinary day]," said {g.full}.
{h} went to see {h.their} friend {f}. "[Do you know what day it is|Shall we do something special]?" {h.asked}. "[I have no time|I must go to {place}]," {f.said}, and hurried away.
[One after the other was busy|Everybody had something to do]. {h} [walked about alone|went home with {h.their} head down]. "[They have all forgotten|Nobody remembers]," {h.said}.
?It even began to rain.

{h} opened the door. [It was dark inside.|How quiet it was!] 
"Surprise!" There they all were: {g}, {f}, and [all the neighbours|everyone {h.they} knew]. There was a pot of tea, [a cake with {n} candles|a table full of flowers], and [balloons|lanterns] everywhere.
"[We could not tell you|It was so hard to keep it secret]," {f.said}. {f.They} gave {h.o} a {obj}. 
"[This is the best birthday ever|And I thought you had forgotten]!" {h.cried}. 
They sang and [danced|played] until [the candles were low|late in the night]. {h} [made a wish and blew out the candles|did not need to wish for anything].
""",
    ),
    Plot(
        "mover",
        """
! heard somebody [cry|call] for help
"Help! [I am stuck|I cannot get out|I have fallen in]!" It came from [the river|the bottom of a well|a deep hole|the thorns|the ice].
{h} ran [there at once|as fast as {h.they} could]. It was {f.full}. {f.They} was [cold and tired|very frightened|stuck fast].
"[Do not be afraid|Hold on|I am coming]!" {h.cried}. {h} looked around. [What could be done?|There was not much time.] There lay [a long branch|a rope|a ladder|an old board]. 
"[Take hold of this|Catch it|Hold on tight]!" {h} pulled [with all {h.their} might|and pulled]. {h.They} [slipped|nearly let go], but {h.they} [did not give up|dug in {h.their} heels]. 
?{s.full} came and pulled too.

One last pull, and {f} was [out|free|safe]. They [lay|sat] in the grass and [got their breath back|laughed with relief]. 
"You saved me," {f.said}. "[How can I ever thank you|What would I have done without you]?"
"[You would have done the same|It was nothing]," {h.said}. "[Come, you need something warm|Let us go home]."
Soon they sat by the fire with {food} and [warm blankets|a cup of tea]. [And they have been friends ever since.|The whole village talked about it, but {h} only said, "Anyone would have done that."]
""",
    ),
    Plot(
        "mover",
        """
! [lived next door to|often saw|knew] {g.full}, who was always [grumpy|in a bad mood]
"[Go away|Be quiet|Not so loud]!" {g.they} [shouted|grumbled] whenever {h} came by. [Everyone was a little afraid.|The others said, "Keep away."]
<oneday>, {h} saw [that there was no smoke from the chimney|that the curtains were closed|{g.o} struggling with a heavy bag]. "[Something is wrong|I must help]," {h.said}.
{h.They} [knocked on the door|took {h.their} courage in both hands]. "[What do you want|Who is there]?" 
"[I brought you {food},|May I carry that for you|Are you ill]?" {h.said}.
There was a long silence. Then {g} [opened the door|nodded]. "[Nobody has asked me that for years|Come in]," {g.said}.

Inside there were [a hundred clocks|books up to the ceiling|pictures of ships]. {g} told {h.o} [about the sea|how {g.they} had once been a sailor|stories from long ago]. {g.They} even laughed, and it sounded [rusty|like a door that is seldom opened].
"[Come again|You may be as loud as you like now]," {g.said}.
And {h} did, [every Sunday|every day]. [Grumpy people are often only lonely.|Sometimes a knock on the door is all it takes.]
""",
    ),
    Plot(
        "mover",
        """
! entered the [big|great] [race|running race|race around the lake]
"[You are too slow|You will never win]," said {f.full}, who was [the fastest of all|very fast, and knew it].
"[I will try|We will see]," {h.said}. {h} practised [every morning|day after day], [up the hill and down again|in rain and sun].
Then the day came. "[Ready, steady, go|One, two, three]!" Off they went. {f} was far ahead, [and everyone cheered|as quick as the wind].

[Halfway|Near the old bridge], {f} [fell|slipped] and hurt {f.their} [leg|knee|foot]. [One after the other ran past.|Nobody stopped.] {h} saw it. [The finish was so near|{h} could have won]. 
But {h.they} stopped. "[Lean on me|Can you walk?|Give me your hand]," {h.said}.
"[You will lose,|Why do you stop]?" {f.asked}. "[Never mind|There will be other races]," {h.said}.
Side by side they [limped|walked] over the line, the very last. And [everyone clapped louder than for the winner|what a cheer there was].
?{h} got a special prize: a {obj}.
"[I was not kind to you|I am sorry for what I said]," {f.said}. After that they [always ran together|trained together every day].
""",
    ),
    Plot(
        "mover",
        """
! [and {f.full} played hide and seek|played hide and seek with {f.full}]
"[One, two, three|Eight, nine, ten], I am coming!" {f.cried}. {h} hid {hide}. It was the best hiding place in the world.
{f} looked {hide2}. {f} looked {hide3}. "[Where are you?|Come out, I know you are there]!"
{h} [held {h.their} breath|almost laughed|did not move]. [It was warm and dark.|{h.They} closed {h.their} eyes, just for a moment.] And then {h.they} fell asleep.
?{f} called and called. [{f.They} asked everyone.|Soon everybody was looking.]

When {h} woke up, [the stars were out|it was evening]. [Lanterns moved about outside.|{h.They} heard voices calling {h.their} name.] "[Here I am|I am here]!" {h.cried}.
{f} ran up and [hugged {h.o}|did not know whether to laugh or cry]. "[I thought you were lost|We looked for you everywhere]!"
"[I am sorry|I only wanted to hide well]," {h.said}. "[I won, did I not?|You win.]?" 
And they [laughed until their bellies hurt|all went in to eat {food}]. [The next day, {h} hid where {h.their} feet could be seen.|It is fun to hide, but it is better to be found.]
""",
    ),
    Plot(
        "mover",
        """
! [took care of|looked after] a [sick|hurt|little] {pet}
{h.They} had found the {pet} [by the road|under a bush|after the storm]. It [could not walk|would not eat|was so thin]. "[Poor little one|You are safe now]," {h.said}.
"[Give it water and keep it warm|It needs rest and quiet]," said {g.full}. So {h} made a bed out of a [box|basket] and [an old scarf|hay].
?"[Can I keep it|May it stay for ever]?" {h.asked}. "[We will see|First it must get well]," {g.said}.
[Every two hours|Day and night] {h.they} gave it [milk|water|crumbs]. {h.They} called it {petname}.

[After a few days|Slowly], {petname} [lifted its head|ate a little|took a few steps]. It grew [stronger|fatter] every day, and it followed {h.o} [everywhere|like a shadow].
Then [spring came|one day it looked out of the door for a long time]. {h} understood. [It was hard.|It made {h.o} sad.] "[You want to go home|You belong out there]," {h.said}, and opened the [gate|door].
{petname} ran [to the edge of the trees|out into the green], stopped, and looked back once.
?"[It will not forget you|You did well]," {g.said}.
And now and then, [early in the morning|in the evening], [there it stands, and waits for {h.o}|{h} finds small footprints by the door].
""",
        {
            "pet": "[fox|hare|hedgehog|squirrel|crow|fawn|owl|duck|rabbit|swallow|badger|goose]",
            "petname": "[Nut|Dash|Bibi|Rumpel|Tip|Fly|Juno|Kip|Velvet|Zuzu|Pom|Mistle|Ollo|Tapi]",
        },
    ),
    Plot(
        "mover",
        """
! [got lost|lost the way] in the [forest|fog|big city|mountains]
"[Which way did I come from|Where is the path]?" {h.asked}. [Every tree looked the same.|There was nobody to ask.] [It was getting dark.|The light was going.]
{h} [walked to the left|called out loud]. {h} [walked to the right|listened]. [No, that was wrong.|Only an echo answered.] 
?{h.They} sat down and [cried a little|thought of home].
"[Are you lost|Can I help you]?" asked a voice. It was {f.full}.
"[I want to go home|I cannot find my way]," {h.said}.
"[Where do you live|What can you see from your window]?" {f.asked}.
"I live {h.home}," {h.said}. "[And in the evening there is a light in the window|There is always a smell of {food}]."
"[Then I know the way|I can smell it from here|Follow me]," {f.said}.

They [went over a stream|walked past a big stone] and [through the ferns|under the high trees]. {f} [sang|told stories], so that {h} was not afraid. [And then, far away, shone a light|At last they came over a hill], and {h} [knew where {h.they} was|could see home].
"[Will you come in?|Stay and eat with us]!" {h.cried}. And {f} did. They all ate {food} together. 
?"[If you are lost, stay calm and ask|I was never really lost, because you were there]," {h.said}.
""",
    ),
    Plot(
        "mover",
        """
! [told a lie|told a fib|told a tall story]
"[I have seen a dragon|There is a lion behind the mill|I can lift a cow]," {h.said}. [It was not true at all.|Everyone listened with big eyes.]
"[Really|Show us]!" {f.cried}. {f.They} was {h.their} best friend. So {h} had to [tell another lie|think of something else], and then [a bigger one|one more]. [It grew like a snowball.|Soon {h.they} did not know any more what {h.they} had said.]
Then [one evening|one day] {h.they} really [saw smoke at the baker's house|saw that the river was rising]. "[Fire|The water is coming]! [Come quickly|Help]!" {h.cried}. 
"[Another one of your stories|Ha, ha, very funny]," they said. Nobody came.

Only {f} [looked at {h.o} closely|stopped]. "[Is it true this time?|You are crying]," {f.said}. "[I believe you|Then let us run]!" 
Together they [rang the big bell|woke everyone], and [all was saved just in time|everybody helped, and nothing bad happened].
"[I will not lie any more|I am so sorry]," {h.said}. "[Why did you believe me]?"
"[Because you are my friend|One can see it in the eyes]," {f.said}. 
[Now {h} only tells tall stories at bedtime, when everyone wants to hear them.|And since then, {h.their} word is as good as gold.]
""",
    ),
]
