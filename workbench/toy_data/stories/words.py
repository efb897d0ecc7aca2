"""The words stories are made of: names, kinds of heroes, their homes, things, places, foods."""

# ruff: noqa: SIM905, E501 (lists of words are easier to read as text)

from __future__ import annotations

GIRLS = """Mia Lily Emma Anna Zoe Ella Ruby Nora Rosa Ines Clara Greta Elsa Freya Astrid Maya Priya
Anika Leela Asha Meera Aisha Fatima Layla Noor Zahra Yasmin Amina Zainab Amara Ada Chioma Ngozi
Zuri Imani Wanjiru Thandi Abena Sana Hana Yuki Sakura Aiko Emi Mei Lin Jia Xia Suki Minh Linh Ploy
Malia Leilani Kaya Aroha Talia Miriam Esther Sofia Lucia Elena Carmen Paloma Luz Marisol Camila
Bruna Olga Katya Mila Nadia Vera Anya Dana Ivana Petra Zofia Kasia Lena Ingrid Sigrid Maren Tove
Aino Saga Iris Ivy Poppy Daisy Hazel Alice Lucy Molly Grace Jane Kate Sue Sara Amy Beth Rose Polly
Tess June Wren Pearl Tilly Betty Matilda Juniper Penny Dolly Nell Bonnie Maeve Niamh Cora""".split()

BOYS = """Tom Ben Sam Max Leo Tim Jack Finn Noah Oscar Hugo Felix Otto Emil Anton Lars Nils Sven Erik
Olav Mikko Juho Ivan Boris Misha Pavel Janek Marek Luka Milan Andrei Nico Marco Paolo Luigi Diego
Mateo Pablo Carlos Rafael Tiago Joao Omar Ali Hassan Yusuf Karim Tariq Samir Rami Idris Malik Kofi
Kwame Jabari Tunde Emeka Sipho Jomo Babu Ravi Arjun Rohan Kiran Amit Dev Vikram Hiro Kenji Taro Ken
Daichi Wei Jun Bao Ming Chen Tuan Anan Koa Keoni Manu Tane Elias David Levi Noam Eli Jonah Adam
George Henry Peter Paul Billy Bobby Charlie Freddie Alfie Archie Jasper Rory Callum Duncan Angus
Will Theo Toby Ned Gus Joe Dan Luke Mark Simon Victor Walter Arthur Edwin Basil Milo Rufus""".split()

PETS = """Pip Dot Bo Zib Momo Biscuit Pepper Button Waffles Mango Tiptoe Pickle Nutmeg Ginger Bramble
Clover Fern Pebble Puddle Fidget Pogo Tuppence Muffin Noodle Peanut Coco Kiwi Olive Figgy Plum Berry
Hobnob Crumble Dumpling Bubbles Sparky Whiskers Patches Socks Mittens Snowy Sooty Dusty Rusty Smudge
Speckle Freckle Stripe Spot Patch Fluff Tumble Wiggle Twitch Scamper Skip Hop Zigzag Rolo Tango Bingo
Ziggy Bella Luna Nova Comet Flint Moss Reed River Sky Storm Breeze Echo Ember Ash Maple Willow Acorn
Thimble Tinker Bolt Rivet Cog Beep Bip Toot Gizmo Widget Domino Jingle Melody Tock Pim Pom""".split()

SYLLABLE_STARTS = """b bl br d dr f fl g gl gr h j k kl l m n p pl pr qu r s sn st t tr v w y z zw
ch sh th""".split()
SYLLABLE_VOWELS = "a e i o u oo ee a o i".split()
SYLLABLE_ENDS = "n l m r x b k ng mp ff lly nny bble nk ll zz nd nt rt".split()
NAME_TAILS = "ka lo mi na ri to bo la po nu no zi lin ran mel do vi sa tti".split()

# Adjectives that suit anybody.
TRAITS = """little small tiny big old young shy brave kind clever curious gentle quiet cheerful lonely
merry lazy sleepy proud grumpy silly funny friendly patient careful happy sad polite hungry busy
dreamy jolly tidy messy stubborn forgetful fearless wise strange forgotten lost lucky tired hopeful
nervous playful plain fine noisy clumsy thoughtful bold daring mild honest good""".split()
COLOURS = (
    """red blue green yellow purple orange white black brown grey pink silver golden""".split()
)
LOOKS = """shiny rusty wooden striped spotted fluffy dusty crooked round fat thin tall short
long-legged soft bright pale patchy speckled fuzzy chubby""".split()

# Heroes that move about. Each group: who they are, and the homes they may have.
MOVERS = {
    "animal": (
        """fox hare rabbit hedgehog squirrel badger bear wolf deer mouse rat mole otter beaver weasel
        raccoon skunk moose elk bat frog toad newt lizard snail beetle ladybird ant bee spider
        cricket grasshopper caterpillar worm firefly dragonfly moth butterfly owl robin sparrow crow
        raven magpie wren woodpecker cuckoo swallow hawk pigeon tortoise porcupine chipmunk panda
        fawn cub""",
        """in a hollow tree|in a burrow under [the|an old] [oak|hill|pine tree]|in the [green|deep|quiet]
        forest|at the edge of the [woods|meadow|forest]|near [a|the] [little|quiet|clear] [stream|pond]|
        in [a|the] [tall grass|bramble bush|old garden]|behind [a|the] [mossy|grey] stone|under [a|the]
        [garden shed|rose bush|old bridge]""",
    ),
    "farm": (
        """cow calf goat sheep lamb pig piglet horse pony donkey hen chicken chick rooster duck duckling
        goose gosling turkey cat kitten dog puppy hamster mule ox""",
        """on a [small|sunny|busy|quiet] farm|in [a|the] [red|old|warm] barn|in [a|the] [green|windy]
        meadow|behind the [farmhouse|mill|bakery]|in [a|the] yard with [three hens|a tall fence|an apple
        tree]|at the end of a [muddy|long] lane""",
    ),
    "wild": (
        """elephant lion tiger giraffe zebra monkey hippo rhino crocodile camel kangaroo koala parrot
        flamingo ostrich cheetah leopard gorilla sloth llama meerkat peacock toucan lemur chameleon
        wombat emu antelope hyena jackal anteater armadillo yak""",
        """on the wide plain|in the [hot|green|noisy] jungle|beside [a|the] [wide|slow] river|near a
        waterhole|in the shade of [a|the] [fig tree|great rock|tall palm]|at the foot of [a|the] [blue|red]
        mountain|at the edge of the desert|in the zoo""",
    ),
    "cold": (
        """penguin seal walrus polar-bear reindeer husky snow-goose arctic-fox snowman puffin""",
        """on [a|the] [big|white] iceberg|at the top of the world|in the land of snow|on [a|the]
        [frozen|icy|snowy] [beach|hill|island]|where the winters are long""",
    ),
    "toy": (
        """robot doll teddy-bear tin-soldier toy-train puppet rag-doll rocking-horse wooden-duck toy-car
        clockwork-mouse spinning-top jack-in-the-box sock-monkey paper-boat paper-bird marionette
        nutcracker toy-rabbit""",
        """on [a|the] [high|dusty] shelf|in [a|the] toy shop|at the bottom of [a|the] toy box|in the attic|
        under [a|the] bed|on [a|the] windowsill|in [a|the] [bright|blue] nursery|in the garden|in [a|the] shed""",
    ),
    "machine": (
        """train tractor bus tugboat fire-engine snowplough digger truck taxi tram helicopter sailboat
        ferry bicycle balloon rocket airplane kite cart submarine milk-van""",
        """in [a|the] [big|small|busy] town|in [a|the] [dark|dusty] shed|by [a|the] [busy|quiet] harbour|at the
        edge of [the|a] city|on [a|the] farm|behind [a|the] [station|school|market]""",
    ),
    "fable": (
        """dragon fairy giant wizard witch mermaid elf troll ghost king queen princess prince knight
        pirate gnome unicorn goblin ogre sprite monster imp griffin sea-serpent yeti genie snow-queen""",
        """in [a|the] [stone|tall|crooked|crumbling] [castle|tower]|in [a|the] cave [by the sea|behind a waterfall|
        on the mountain]|under [a|the] [hill|bridge|mountain]|in [a|the] [dark|enchanted|misty]
        forest|beyond the [seven|far|blue] hills|on an island that was not on any map""",
    ),
    "person": (
        """baker fisherman farmer gardener postman tailor sailor clockmaker teacher astronaut painter
        shepherd cook carpenter shoemaker potter weaver miller beekeeper librarian doctor nurse
        musician captain toymaker inventor juggler clown woodcutter blacksmith grandmother
        grandfather old-man old-woman boy girl traveller hunter ferryman bus-driver pilot scientist
        dancer singer magician detective explorer beggar merchant milkmaid""",
        """in [a|the] [little|old|crooked|yellow] house|in a [small|quiet|busy|windy] [village|town]|
        at the end of [a|the] [long|narrow] street|above [a|the] [shop|bakery|library]|by the [sea|river|lake]|
        in a cottage [near the woods|with a green door|on the hill]|in [a|the] [big|grey] city""",
    ),
}

# Heroes that stay where they are.
STAYERS = {
    "building": (
        """lighthouse house cottage windmill castle bridge tower barn school library shop church station
        gate fence wall well fountain statue scarecrow bench signpost lamppost mailbox doorway
        chimney stone-bridge snow-fort treehouse playground""",
        """on a [high|rocky|windy] cliff|at the edge of [a|the] [town|village|forest]|on top of a hill|beside
        [a|the] [river|long road|railway]|in the middle of [a|the] [park|field|town|square]|by the sea|at the
        end of [a|the] [street|lane|pier]|where two roads meet""",
    ),
    "plant": (
        """tree oak willow pine rose sunflower daisy tulip cactus mushroom pumpkin apple-tree cherry-tree
        dandelion poppy pine-tree bush vine palm-tree snowdrop turnip bluebell fern thistle cabbage""",
        """in [a|the] [little|wild|secret] garden|at the edge of [a|the] [field|pond|forest]|on a [lonely|windy]
        hill|behind [a|the] [school|church|old wall]|in [a|the] park|by [a|the] [stream|gate|dusty road]|in
        the middle of [a|the] meadow""",
    ),
    "room": (
        """teapot lamp clock chair table pillow piano cup spoon candle umbrella mirror bell broom kettle
        stove rug book drum violin trumpet guitar blanket cupboard wardrobe suitcase hat boot mitten
        pencil crayon paintbrush notebook globe bookshelf armchair radio telephone typewriter
        sewing-machine music-box snow-globe bucket basket ladder doorbell flute button sock""",
        """in [a|the] [warm|small|sunny] kitchen|in [a|the] [quiet|dusty] attic|on [a|the] shelf by the window|in
        the corner of [a|the] [room|shop|classroom]|in [a|the] [tall|crooked|little] house|at the back of [a|the]
        [shop|cupboard]|in [a|the] hall""",
    ),
    "sky": (
        """moon star cloud sun rainbow comet wind planet raindrop snowflake sunbeam evening-star""",
        """high above the [sea|town|mountains|forest]|in the [wide|dark|blue] sky|up among the
        clouds|far above the rooftops""",
    ),
    "land": (
        """mountain river hill pond lake island volcano stream sea stone rock cave valley puddle beach
        desert forest waterfall glacier boulder pebble meadow iceberg path field""",
        """far away in the north|behind the last village|between two [green|dark] hills|at the end of the
        [world|valley]|where nobody [ever|often] came|not far from here|near [a|the] [small|old] town""",
    ),
    "water": (
        """whale fish octopus crab turtle dolphin seahorse jellyfish starfish shark lobster eel shrimp
        clam oyster goldfish squid sea-star salmon trout catfish tadpole sea-snail swordfish""",
        """in the [deep|blue|cold|warm] sea|near [a|the] [coral reef|sandy beach|sunken ship]|in a quiet bay|
        under [a|the] [pier|waves]|at the bottom of the [sea|lake|river]|where the water was [clear|green]""",
    ),
}

SHE_NOUNS = frozenset(
    """queen princess witch fairy mermaid grandmother old-woman girl milkmaid cow
hen snow-queen doll rag-doll""".split()
)
HE_NOUNS = frozenset(
    """king prince wizard knight giant rooster grandfather old-man boy fisherman postman
snowman ferryman tin-soldier ox genie""".split()
)

CHILD_HOMES = """in a [small|little|tall|narrow|yellow|white|crooked] house [by the sea|near the woods|on a hill|
at the end of the street|with a blue door|next to a bakery|]|in a [quiet|busy|small|sunny|snowy] [village|town]
[by a river|by the sea|among the hills|]|on a farm [with two goats|near a lake|]|in a flat [above a shop|high
above the city|]|in a big city|on a boat|on a small island|in a valley between two mountains|at the
edge of a [forest|desert|field]"""

TREASURES = [
    (adjective, noun)
    for adjectives, nouns in (
        (
            "red blue green yellow purple orange white striped favourite new old little big",
            "kite ball hat scarf coat cap balloon boat umbrella lantern bag book blanket drum",
        ),
        (
            "silver golden shiny tiny old lost favourite",
            "key bell ring whistle watch button coin spoon",
        ),
        ("wooden little old favourite painted", "horse doll train flute duck box spoon boat top"),
        ("soft woolly favourite blue red warm", "mitten sock bear rabbit scarf hat pillow glove"),
        ("smooth white round lucky speckled", "stone shell pebble marble feather acorn"),
    )
    for adjective in adjectives.split()
    for noun in nouns.split()
]

HIDING_PLACES = """under the bed|behind the [sofa|stove|curtain|shed|big clock]|in the [garden|attic|kitchen|
barn|hallway]|under the [table|stairs|bench|rose bush]|by the [river|pond|old well|gate]|in the tall grass|
at the bottom of the [basket|stairs|hill]|on top of the [cupboard|shelf|hedge]|in [the|a] pile of
leaves|inside [an old boot|a teapot|a flower pot|the piano|an empty bucket|the laundry basket]|between two
[stones|roots|pillows|books]|up in the apple tree|under the wooden bridge|next to the fountain|in a puddle"""

OUTINGS = """the forest|the beach|the lake|the park|the market|the old mill|the hill behind the
village|the meadow|the river|the harbour|the library|the orchard|the duck pond|the castle ruins|the
lighthouse|the playground|the top of the hill|the little island|the train station|the pine wood"""

FOODS = """bread|soup|honey cake|apple pie|cherry pie|warm milk|pancakes|plum jam|rice|noodles|dumplings|cheese|
ginger biscuits|berries|porridge|roasted chestnuts|mango slices|sweet potatoes|carrot soup|fresh
rolls|oat cookies|lemon cake|tomato soup|dates|flatbread|corn bread|banana bread|peas|pumpkin soup|fig buns"""

PACKED = """a rope|a map|two apples|a loaf of bread|a warm blanket|a lantern|a red scarf|a bottle of water|
three biscuits|a ball of string|a notebook|a small knife|a spoon|a whistle|a jar of honey|a piece of cheese|an
umbrella|a pair of socks|a pencil|four plums|a tin cup|a torch|a box of matches|a flute|a boiled egg"""

ELDERS = (
    ("mother", "she", ""),
    ("father", "he", ""),
    ("grandmother", "she", ""),
    ("grandfather", "he", ""),
    ("aunt", "she", ""),
    ("uncle", "he", ""),
    ("big sister", "she", ""),
    ("big brother", "he", ""),
)
WISE_ANIMALS = "owl tortoise goose raven elephant whale badger stork toad bear donkey crane".split()
WISE_NAMES = (
    ("Grandma {}", "she"),
    ("Grandpa {}", "he"),
    ("Aunt {}", "she"),
    ("Uncle {}", "he"),
    ("Mrs. {}", "she"),
    ("Mr. {}", "he"),
    ("Old {}", "he"),
    ("Miss {}", "she"),
)
SURNAMES = """Rose Finch Bell Pepper Green Plum Okoro Tanaka Silva Novak Haddad Lund Brown Gray Rossi Patel
Kim Moreau Baker Hill Wood Berry Reed Stone Crane Marsh Lee Garcia Popov Diallo Mendez Ito""".split()

NUMBERS = "three four five six seven eight nine ten".split()
FAMILIAR = "fox hare squirrel cat owl bear mouse hen frog".split()
AGED = ("old", "very old", "kind old", "grey old")
OWNED = "cat dog hamster parrot rabbit friend cousin neighbour teacher goldfish pony hen".split()
