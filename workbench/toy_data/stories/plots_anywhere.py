"""Stories that suit anybody, a lighthouse or the moon as well as a mouse: nobody has to walk."""

# ruff: noqa: E501 (a line of a template is a sentence, however long)

from __future__ import annotations

from workbench.toy_data.stories.plot import Plot

SADNESS = [
    {
        "because": "nobody [ever|] [said good night to {h.o}|looked up at {h.o} any more|knew {h.their} name]",
        "remedy": "Then I will do it, [every evening|every day|from now on]. [It is no trouble at all|I promise]",
        "after": "{f} came back the next [day|evening], and the next, and never forgot",
    },
    {
        "because": "{h.their} best friend had gone away",
        "remedy": "Friends who go away still think of us. Let us [send a letter with the wind|wave to the south together]",
        "after": "a week later, a [bird|breeze|postcard] brought an answer: I miss you too, and I will come in the spring",
    },
    {
        "because": "it had [been dark|been raining|been so quiet] for [three|seven|many] days",
        "remedy": "Listen. Behind every cloud the sun is only waiting for somebody to tell a joke",
        "after": "{f} told the silliest joke in the world, and a little sunbeam came out to hear the end of it",
    },
    {
        "because": "{h.they} felt [old and forgotten|so very small|not good for anything]",
        "remedy": "Do you remember how you [helped me|made me laugh|kept me company] last winter? I do. I have never forgotten it",
        "after": "{h} thought about that all night, and in the morning {h.they} felt new again",
    },
    {
        "because": "everybody else was having fun without {h.o}",
        "remedy": "They only think you do not want to play. Somebody has to tell them",
        "after": "{h} called out loud, may I play too, and everybody answered, of course, come along",
    },
    {
        "because": "{h.they} had lost {h.their} [song|laugh|shadow|colour]",
        "remedy": "We can look for it together, in the last place where you were happy",
        "after": "they found it [in an old shell|under a leaf|between two clouds|where they had been happy the day before]",
    },
    {
        "because": "somebody had said that {h.they} was [ugly|boring|much too slow|of no use]",
        "remedy": "I have known you for a long time, and I have never seen anything so fine",
        "after": "{h} felt warm all over, as if somebody had lit a small lamp inside {h.o}",
    },
    {
        "because": "the summer was over",
        "remedy": "Let us make a list of all that comes now: red leaves, chestnuts, soup, and snow",
        "after": "the list grew so long that {h} could hardly wait for the winter",
    },
    {
        "because": "{h.they} could not find a [rhyme for orange|good name for a star|reason to laugh]",
        "remedy": "Then stop looking. Such things come when they are not called",
        "after": "they talked about [soup|the sea|clouds], and suddenly, there it was",
    },
    {
        "because": "{h.they} had nobody to talk to",
        "remedy": "I am not very clever, but I have two ears and lots of time",
        "after": "they talked until the stars came out, and then they were quiet together, which was just as good",
    },
    {
        "because": "it was {h.their} birthday and everyone had forgotten",
        "remedy": "I have a candle and half a biscuit. That is enough for a party",
        "after": "one guest after another heard the singing and came, and it was the longest party of the year",
    },
    {
        "because": "{h.they} could not see the stars",
        "remedy": "Close your eyes and I will tell you where they are",
        "after": "{f} told {h.o} about the bear, the plough and the little fox in the sky, until the clouds went away",
    },
]

FEARS = [
    {"of": "the dark", "what": "The dark is only the day with its eyes closed"},
    {"of": "thunder", "what": "Thunder is just the sky moving its chairs"},
    {"of": "the wind", "what": "The wind only wants somebody to play with"},
    {"of": "big dogs", "what": "Big dogs are small dogs that have eaten well"},
    {
        "of": "the night",
        "what": "The night is a big blanket, and there is room for everyone under it",
    },
    {"of": "strangers", "what": "I was a stranger too, until you said hello"},
    {"of": "spiders", "what": "A spider is only a weaver who is shy"},
    {
        "of": "being alone",
        "what": "When you are alone, you can hear what you think. And I am never far",
    },
    {"of": "loud noises", "what": "Count to three after each noise. Then it is gone"},
    {
        "of": "{h.their} own shadow",
        "what": "It does all that you do. So wave to it, and it will wave back",
    },
    {"of": "the fog", "what": "The fog is a cloud that wanted to see us up close"},
    {"of": "winter", "what": "Under the snow everything is only sleeping"},
    {"of": "ghosts", "what": "If you meet one, ask for its name. They are always so pleased"},
    {"of": "falling", "what": "Everybody falls. The ground is patient, and so are friends"},
]

PLOTS = [
    Plot(
        "any",
        """
! was [so |very |]sad because {p.because}
?[Even the [sun|flowers|birds] could not cheer {h.o} up.|{h.they} [sighed|was quiet] all day long.|A small tear fell down.]

{f.full} [noticed it|saw this|heard {h.o} sigh]. "What is the matter, {h.call}?" {f.asked}.
"[Oh, it is nothing|I am sad|You will think it is silly]," {h.said}. [But then {h.they} told {f.o} [everything|the whole story].|And little by little, the whole story came out.]
?{f} listened to every word.
"{p.remedy}[."|," {f.said}.]

[And so it was.|And [that was|it was] not just talk.|That is what they did.] [In the end|Soon after that], {p.after}.
?"[How good it is|I am so glad] that you asked me," {h.said}.
[{h} was not sad any more.|And {h} smiled again.|There was no room left for sadness.] <closing>
""",
        {"p": SADNESS},
    ),
    Plot(
        "any",
        """
! was [so |very |]sad
?[It had started [in the morning|a week ago|with the first rain].|Nobody knew why.|The days seemed long and grey.]
"[Why are you sad|Why do you cry|What is it], {h.call}?" {f.asked}. {f.They} was {f.a}, and {f.they} [had come a long way|lived not far away|liked to ask questions].
"Because," {h.said}. [{h.they} did not want to tell.|{h.they} looked away.]
?[But {f} did not go away.|{f} waited.]
[At last|After a long while], {h} said, "I am sad because {q}."

"[I know that feeling|That would make me sad too|Oh dear]," {f.said}. "[Let us sit here for a while|May I stay with you?|Let us think of something]."
They [sat|stayed] side by side and [watched the [clouds|swallows|lights]|listened to the [rain|wind|bells]]. <slowwork>
?{f} told a story about [a flea in a hat|a king who lost his socks|a cloud that sneezed].
[And suddenly|And before long|And then] {h} [had to laugh|began to smile|felt better]. [Nothing had changed, and yet everything was different|The sadness was still there, but it had become very small|It was as if somebody had opened a window].
<closing>
""",
        {
            "q": "[I miss my [brother|sister|old home]|I feel so small|everybody is always in a hurry|I cannot see the end of the road|nobody needs me|the swallows are leaving|I said something unkind|my song is gone]"
        },
    ),
    Plot(
        "any",
        """
! was afraid of {p.of}
?[Nobody knew about it.|{h.they} never told anyone.|It was {h.their} only secret.]
[Every [evening|day]|Whenever {h.they} thought of it|Sometimes], {h.they} [shook a little|wanted to hide|kept {h.their} eyes shut].

<oneday>, {f.full} came to visit. "[Why are you shaking|You are so quiet today|Are you cold], {h.call}?" {f.asked}.
"I am [a little|very|not] afraid," {h.whispered}. "[Well, perhaps a little.|Please do not laugh.|It is {p.of}.]"
{f} did not laugh. "[I was afraid of {p.of} too once|Everybody is afraid of something]," {f.said}. "{p.what}."
?{h} had never thought of it like that.

That [evening|night|week], {h} [remembered these words|said the words again and again|tried it out]. {h.Their} heart beat [fast|loud|like a drum], but {h.they} did not hide. [One, two, three, and it was over.|It was not half as bad as before.|Nothing bad happened at all.]
"I did it," {h.whispered}.
?[The next time was easier, and the time after that was easier still.|{f} was very proud of {h.o}.]
[You can be afraid and brave at the same time|Fear gets smaller when you share it|It helps to say a fear out loud], and now {h} knew it.
""",
        {"p": FEARS},
    ),
    Plot(
        "any",
        """
! [saw something fall from the sky|found a star [one night|]|saw a light that should not have been there]
It was a [little|tiny] star, no bigger than [a plum|a button|an apple]. It [blinked|shone] [weakly|sadly|in the dark].
"[Please help me|I am lost|I have fallen down]," [said|whispered] the star. "I want to go home."
?"[How did you fall|Does it hurt|Are you cold]?" {h.asked}. "I leaned out too far to [look at you|see the sea|hear a song]," said the star.

{h} [thought and thought|did not know what to do]. [Then|At last] {f.full} came to help. "[The wind goes up to the sky every night|The tallest tree is nearly there|Stars get light when they are happy]," {f.said}. "[Let us ask for help|Let us try it|Let us sing for it]."
[First they waited for the wind.|They told the star every joke they knew.|They sang all the songs they knew.] The star [grew brighter|laughed and shone] [and brighter|]. [Slowly it rose|Then it floated up], [past the trees|over the roofs|higher and higher], until it was back in its place.

[Since then|Every night now], one star [blinks|winks] [twice|three times] [when|as soon as] {h} looks up. [It means thank you.|Only {both} know why.|"Good night, little star," {h.said}.]
""",
    ),
    Plot(
        "any",
        """
! [heard a strange noise|could not sleep because of a noise|was woken by a noise]
<noise>, it went. <noise>.
"[Who is there|What was that]?" {h.asked}. [Nobody answered.|It was quiet. Then it came again.]
?[Was it a [monster|thief|ghost]|Could it be [the wind|a giant]]? {h.Their} heart [beat faster|went bump, bump, bump].
?"I am not afraid," {h.said}, but it was not quite true.

[{h} took a deep breath|{h} listened again|{h} waited until the moon came out]. [And there, in the [corner|moonlight|grass], sat|It was only] {f.full}, who was [looking for a place to sleep|trying to open a nut|crying quietly|practising the drum].
"[Oh, I am sorry|I did not mean to wake you]," {f.said}. "[I was hungry|I was cold|I was lonely]."
"[Then stay here|You may share my [supper|blanket]|Come closer]," {h.said}. [{h.Their} fear was gone.|All the fear had blown away.]
[They talked until they fell asleep|Soon they were both asleep], and [the night was quiet again|nothing went bump any more].
?[Many noises turn out to be friends|Things are smaller when you look at them], {h} thought.
""",
    ),
    Plot(
        "any",
        """
! [and {f} were neighbours|lived next to {f.full}], and they [often|always|sometimes] quarrelled
"[You are too loud|You take all the sun|You talk too much]," {h.said}.
"[And you are too proud|And you snore|And you never listen]," {f.said}.
?So it went [every day|all through the spring|week after week].

<oneday>, a [great storm|big flood|terrible wind] came. [The sky turned black.|It roared and howled.] {f} [was in trouble|cried for help|was too weak to hold on].
{h} [forgot the quarrel|did not think twice]. "Hold on to me!" {h.cried}. [All night|For hours], they held on to each other, [until the wind grew tired|until it was over].

In the morning, {both.they} looked at each other. [{f} was the first to laugh.|Both had leaves and dirt all over them, and they had to laugh.]
"[You are not so bad|I am sorry for what I said]," {f.said}.
"[Neither are you|So am I]," {h.said}. 
[They still quarrelled now and then, but only for fun.|From then on, they were the best of neighbours.|After that, the only thing they argued about was who should say good morning first.]
""",
    ),
    Plot(
        "any",
        """
! [kept a secret|knew a secret|had a secret]
It was a [big|warm|sweet|strange] secret, and it [tickled|wanted to come out]: {q}.
"[Tell me|Please tell me|What is it?]," [begged|said] {f.full}, who [could never wait|was very curious].
"[I promised not to|Not yet|A secret is a secret]," {h.said}.
?{f} [guessed and guessed|tried everything]. "Is it [a cake|a dragon|a door]?" "No," {h.said}, and smiled.

[Three days|A week|A long time] went by. [It was not easy, but|] {h} did not tell. [Then the day came|And then, on Sunday, it was time].
"[Now you may look|Surprise]!" {h.cried}. And there [it was|was the secret], and {f} [could not speak|clapped|laughed] for joy.
"It was worth the wait," {f.said}. "[I am glad that you can keep a secret|And now I will tell you one of mine]."
""",
        {
            "q": "[there was a nest with {n} eggs under the roof|it was going to be a party for {f}|a letter from the sea had come|somebody had planted a tree just for {f}|there was a tiny door behind the leaves]"
        },
    ),
    Plot(
        "any",
        """
! [waited|was waiting]
[Every day|In the morning and in the evening], {h.they} looked [down the road|to the east|out over the hills]. {h.They} was waiting for {q}.
"[Why do you wait|Is it not boring to wait]?" asked {f.full}. 
"[Good things take time|It will come when it is ready]," {h.said}.
?The [leaves|days] fell, one by one. It [rained|snowed|grew cold]. Still {h} waited.

{f} [sat down|stayed] to keep {h.o} company. They [told stories|counted birds|played a guessing game]. [So the time went faster.|Waiting is easier with two.]
[And then, one morning|And at last, when nobody was looking], there it was. [It was even better than {h} had dreamed.|It was small and new and perfect.]
"[Look|There]," {h.whispered}, "[that is what I was waiting for|it was worth every day]."
""",
        {
            "q": "[the first swallow|the first snow|a letter from far away|the spring|a ship with red sails|the circus|the big moon|an old friend]"
        },
    ),
    Plot(
        "any",
        """
! [could hear the storm coming|saw dark clouds in the west|felt that a storm was near]
The wind [pulled at everything|grew stronger and stronger]. Rain [beat down|came down in sheets]. [Crack! went the lightning.|The thunder rolled like a big drum.]
[In the middle of it all|Then], {h} heard a small voice. "Help! [I cannot find my way|I am so cold|I have nowhere to go]!"
It was {f.full}, wet [from top to toe|and shivering].
"[Come to me|Over here|Quick, come here]!" {h.cried}. "[I will keep you safe|There is room for two|Nothing can happen to you here]."
{f} [came close|hurried to {h.o}|crept as near as possible]. [All night long the storm howled|The storm went on and on], but {both} [were safe together|told each other stories|sang against the thunder].

In the morning the [sky was blue|sun came out|world was washed clean]. Drops [hung|sparkled] on every [leaf|blade of grass].
"You [saved me|were so kind]," {f.said}. "[I will never forget it.|Will you be my friend]?"
"[Of course|Gladly|That is what friends are for]," {h.said}. <closing>
""",
    ),
    Plot(
        "any",
        """
! had a dream
In the dream, {h.they} was [as big as a mountain|as small as an ant|made of [glass|light|cake]|able to fly|at the bottom of the sea]. [Everybody bowed.|Fish swam through the air.|Clouds tasted of honey.|All the clocks ran backward.]
"[Where am I|What is this]?" {h.asked}.
"[In the land of dreams|You are behind the moon]," said {f.full}, who wore [a hat of leaves|yellow boots|a crown of candles]. "[Here everything is possible|You may ask one question]."
{h} thought [hard|for a while]. "[What is the best thing in the world|Where do dreams go in the morning|Who paints the sky]?" {h.asked}.
{f} [laughed|smiled]. "[You know it already|Look into your pocket|It is nearer than you think]," {f.said}. 

Then {h} woke up. It was morning, and [the sun was shining|the birds were singing|it smelled of {food}]. [Beside {h.o} lay a small {colour} feather.|And outside, somebody was calling {h.their} name.|{h.they} still had the taste of honey in {h.their} mouth.]
[Was it only a dream|Had it really happened]? {h} [smiled and did not tell anyone|was not so sure].
""",
    ),
    Plot(
        "any",
        """
! [was getting old|was very old|had seen many winters]
[There were [cracks|scratches|patches] here and there.|Some things did not work so well any more.] "[Nobody needs me now,|What am I good for]?" {h.sighed}.
?The young ones [hurried past|had no time]. They liked [new|shiny|fast] things better.

<oneday>, {f.full} [got lost|was in trouble|needed help]. [The new things did not know what to do.|Nobody knew the way.|All the others only shrugged.]
"[I remember|I know]," {h.said}. "[When I was young, the same thing happened|I have seen it many times before]. [Listen to me|Do it like this|Go left at the three birches, then follow the water]."
{f} [did as {h.they} said|listened to every word], and [it worked|all was well again].
"How did you know that?" {f.asked}.
"[That is the good thing about being old|One learns a thing or two]," {h.said}.
[Now somebody comes every day|After that, there was always somebody who came] to [ask a question|sit with {h.o}|hear the old stories].
""",
    ),
    Plot(
        "any",
        """
! [got a letter|found a letter|received a letter]
It was [small|folded three times|a little wet|blue], and it smelled of [the sea|oranges|smoke|roses]. There was no name on it. It said: "{q}"
"[Who wrote this|Who can it be from]?" {h.asked}.
{f.full} [looked at it|turned it over|sniffed at it]. "[I know this smell|I have seen this hand before|Let us find out]," {f.said}.
[They asked the baker, the postman and the cat.|They wrote an answer and gave it to the wind.|They put a sign where all could see it.] [Nobody knew anything.|Days went by.]

[And then|At last] {s.full} [came up|stood there], rather shy. "I wrote it," {s.said}. "[I did not dare to speak to you|I did not know your name|I thought you would laugh]."
"I am so glad you did," {h.said}. "[It is the best letter I ever got|Nobody ever wrote to me before]."
Since that day the three of them [have been friends|write to each other every week|meet each Sunday]. [All because of a letter.|And the letter is kept in a safe place.]
""",
        {
            "q": "[I saw you yesterday, and you looked kind.|Would you like to be my friend?|Thank you for your light.|You are not alone.|Please come to tea on Sunday.|I like the way you laugh.]"
        },
    ),
    Plot(
        "any",
        """
! [loved|liked nothing better than] to {q}
[Every day|Morning and night|Whenever there was time], {h.they} did it. [Some said it was silly.|The others shook their heads.] "[What is it good for|Why do you do that]?" they asked.
"[It makes me happy|I do not know|Just because]," {h.said}.

<oneday>, {f.full} [was feeling sad|came by with a heavy heart|sat down and wept]. Nothing helped, not [cake|songs|jokes|warm milk].
[So {h} began|Then {h} did it again], [softly at first|as always], and {f} [looked up|stopped crying|listened]. "[How lovely|I have never seen that before]," {f.said}. "May I do it too?"
"[Of course|It is better with two]," {h.said}.
They did it [all afternoon|together until it was dark]. <closing>
?[And nobody asked any more what it was good for.|What we love is always good for something.]
""",
        {
            "q": "[count the stars|hum old songs|make up rhymes|watch the clouds|name the birds|listen to the rain|tell riddles|say good morning to everyone|look for faces in the clouds|guess what the weather would be|think of new words|tell stories to the wind]"
        },
    ),
    Plot(
        "any",
        """
! [thought that {h.they} was the best|was proud, far too proud|always said, "Look at me!"]
"[Nobody is as fine as I am|I do not need anybody]," {h.said}.
?[The others grew tired of it.|So everyone went away.|Soon nobody wanted to listen.]
{f.full}, who was [small|plain|quiet], said only, "[We will see|Everyone is good at something]."

[Then came a hard winter|One night there was a fire|One day the river rose], and [nothing shone any more|being fine was of no help]. {h} [could not manage alone|was cold and afraid]. "[Is anybody there?|Please help me]," {h.whispered}.
[It was {f} who came|Only {f} came]. {f.They} [brought wood and warm words|stayed with {h.o} until it was over|called all the others].
"[Why did you help me?|I was not kind to you]," {h.said}.
"[You needed it|Because you called]," {f.said}.
[{h} was ashamed, and then {h.they} was glad|That was the end of the boasting]. [It is better to have friends than to be the best.|Now {h.they} says, "Look at us!"]
""",
    ),
    Plot(
        "any",
        """
! [liked to ask questions|was full of questions|asked questions all day long]
"[Why is the sky blue|Where does the river go at night|Who teaches the birds to sing]?" {h.asked}. "[Do stones dream|How old is the wind|What is behind the hill]?"
"[I do not know|Ask somebody else|So many questions]," [said everyone|sighed {g}].
?[But questions do not go away|There is always one more question].

Then {f.full} came along. "[I have a question too|Ask me]," {f.said}. "[Where does the light go when it goes out|What does the moon eat]?"
[They both thought about it|Nobody knew], and they [laughed|were silent]. It was [fine|lovely] to have a question [in common|that belonged to both].
[All summer|Every evening] they [asked|collected] new ones. They found {n} answers and [a hundred|twice as many] new questions. [And that was just right.|"That is how the world gets bigger," {f.said}.]
""",
    ),
]
