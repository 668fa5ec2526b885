"""Questions that no prompt answers: general knowledge, advice, wishes, small talk; and mere noise.

For training only.  What is measured is a list of its own, `suites/outside.txt`.
"""
import nouns as n
import words as w
from grammar import expand

COUNTRIES = "France Germany Spain Italy Brazil China India Japan Mexico Canada Australia Egypt Kenya Norway Sweden Poland Greece Turkey Russia Portugal Ireland Scotland Chile Peru Cuba Iran Iraq Morocco Ghana Finland".split()
CITIES = "London Paris Berlin Rome Madrid Vienna Prague Athens Moscow Cairo Tokyo Delhi Boston Chicago Sydney Toronto Dublin Lisbon Warsaw Oslo Lima Havana Seoul Milan Hamburg Munich Geneva Dallas".split()
FAMOUS = "Einstein Napoleon Mozart Shakespeare Picasso Newton Darwin Cleopatra Columbus Caesar Beethoven Gandhi Lincoln Goethe Galileo Plato Churchill Elvis Madonna Obama Bach Homer Kafka Freud Marx".split()
TOPICS = """cats|pizza|the moon|football|my car|the king|chess|gold|spiders|my sister|the sun|bread|music|the queen|a dragon|snow|my phone|water|the sea|horses|a taxi|school|the weather|the news|politics|
religion|love|money|the internet|computers|robots|the stars|mars|the earth|volcanoes|dinosaurs|the war|history|physics|chemistry|biology|mathematics|gravity|electricity|light|atoms|bees|wolves|sharks|whales|birds|
trees|flowers|rice|sugar|salt|wine|beer|tea|chocolate|cheese|eggs|apples|bananas|potatoes|soup|my job|my boss|my wife|my husband|my mother|my father|my brother|my friend|my dog|my cat|my house|my garden|my tooth|
my back|my head|my heart|my skin|my hair|my knee|a cold|fever|cancer|the flu|headaches|sleep|dreams|happiness|death|life|god|time|space|art|poetry|novels|films|songs|jazz|opera|tennis|golf|basketball|the olympics|
cars|trains|planes|ships|bicycles|batteries|the stock market|taxes|banks|insurance|the law|crime|the police|the army|the president|elections|europe|africa|asia|america|the north pole|rivers|mountains|deserts|the rain|the wind""".replace("\n", "").split("|")
VERBS = "cook bake fix clean paint build draw write sell buy grow wash fry boil repair open train feed catch teach learn pronounce spell measure store cut plant".split()
ADJ = "good bad dangerous healthy important old big fast cheap strong beautiful blue green white cold hot heavy rare famous rich smart".split()

TEMPLATES = [
    "what is the (capital|population|flag|currency|language|president|size) of {country}", "who (is|was) the (president|king|queen|prime minister|first president) of {country}", "how (far|big|large|old) is {city}", "how far is it (to|from here to) {city}", "what is the weather (in {city}|like|like today|tomorrow|like in {city})", "will it (rain|snow|be sunny|be cold|be warm) (today|tomorrow|this weekend)", "how (warm|cold) (is it|will it be) (outside|today|tomorrow|in {city})",
    "do you like {topic}", "what is {topic}", "what do you think (of|about) {topic}", "tell me a (joke|story|riddle|poem|fairy tale) [about {topic}]", "can you (sing|dance|whistle|rap|sing a song|tell a joke|write a poem|speak {lang}|drive a car|play chess|cook|swim|see me|hear me|do my homework|think|feel)", "how do (you|i) {verb} {topic}", "what is the meaning of (life|{topic}|the word {invented})", "who (invented|discovered|made|wrote about) {topic}", "(can|could) you (order|call|buy|bring|get) {topic} for me", "(can|could) you (order|call|get) me (a taxi|a pizza|an ambulance|a beer|flowers)",
    "translate {topic} (to|into) {lang}", "how do you say {topic} in {lang}", "play (some music|{topic}|a song|jazz|the radio)", "who won the (match|game|election|world cup|race|war) [yesterday|last year|in {country}]", "why (is|are) {topic} [so] {adj}", "how many {topic} are there in {country}", "how many (people|rivers|cities|islands|states) (live in|are in|are there in|has) {country}", "when was {famous} born", "when did {famous} (die|live)", "who (was|is) {famous}", "what did {famous} (do|write|discover|say|paint)", "where (was {famous} born|did {famous} live|does {famous} live)", "what happened (to|in|with) {topic}", "what happened in (nineteen {num}|eighteen {num}|twenty {num})", "how (heavy|long|old|deep|fast|hot|high|far away|big) (is|are) {topic}", "is {topic} (better|bigger|older|worse|faster) than {topic2}",
    "what colour (is|are) {topic}", "are {topic} {adj}", "is {topic} {adj}", "where does {topic} come from", "what (is|was) the (name of the|biggest|smallest|oldest|fastest|longest|highest|best|first) (river|mountain|city|country|animal|ship|building|lake|bird|planet|star|train|desert|film|book|song) [in {country}|in the world|of all time]", "who (painted|wrote|composed|directed|sang|built) (the {noun}|{topic}|the {mod} {noun})", "what should i (eat|wear|cook|buy|read|watch|do|say|drink) (today|tonight|tomorrow|for dinner|next|on the weekend)", "(can you|please) recommend (a film|a book|a doctor|a song|a recipe|a hotel in {city}|something for {topic})",
    "how (can|do) i (lose weight|learn {lang}|get rich|sleep better|stop smoking|become a {role}|find a job|save money|make friends|get to {city}|fly to {country}|make coffee|tie a tie|change a tyre)", "are you (married|happy|sad|hungry|tired|in love|angry|afraid|lonely|old|rich|cold)", "do you (love me|have children|have a girlfriend|sleep|eat|dream|drink|believe in god|know {famous}|like me|speak {lang}|have feelings|remember yesterday|have hobbies|go to school)", "how old are you", "where do you live", "what is your (favourite|favorite) (colour|food|film|book|song|animal|number|city|sport)", "what did you (eat|do|dream) (today|yesterday|last night)", "where (are you|do you come) from", "when is your birthday", "what are you wearing", "who is your (mother|father|best friend)",
    "what is (the news|new|on television|on tv|the score|the traffic like) [today|tonight]", "how do i get to {city}", "when does (the|my) (plane|train|flight) to {city} (leave|arrive|go)", "is my (train|flight|package|bus) (late|delayed|here)", "call (my wife|my mother|the police|a doctor|{first}|my office)", "send (an email|a message|a text) to {first}", "set (an alarm|a timer) for {num} (minutes|o'clock)", "remind me to (buy milk|call {first}|go home|take my pills)", "turn (on|off) the (light|lights|radio|heating|music|television|alarm)", "open (the window|the door|my email|the blinds)", "(how|what) is the (stock|share|gold|oil|dollar) price [today]", "how much is (a dollar in euros|bitcoin|gold|a house in {city}|a flight to {city}|a new car)", "give me (money|a kiss|advice|a recipe for {food}|your password|a tip)", "what is (pi|the square root of {num}|infinity|the speed of light|dna|a black hole|inflation|democracy|philosophy|quantum physics|a {role})",
    "(i feel|i am) (sad|sick|lonely|bored|tired|ill|so happy|angry|lost in life|in love|pregnant)", "my (head|back|tooth|stomach|knee|arm|eye) hurts", "what (should|can) i do (about|against) {topic}", "why (do|does|did) {topic} (exist|happen|hurt|fall|die|burn|smell|grow)", "how does (a|an|the) (car|plane|computer|phone|heart|brain|radio|fridge|engine|vaccine|camera) work", "how many (legs|eyes|teeth|hearts|wings) (does|do|has) (a|an) (spider|snail|shark|horse|butterfly|octopus|ant|cow)", "can (dogs|cats|fish|birds|plants|horses|babies) (dream|fly|swim|think|see colours|talk|eat chocolate)", "do {topic} (sleep|fly|have feelings|eat meat)", "spell (the word|) {topic}", "(count|can you count) to (ten|{num})", "what comes after {num}", "what is the (opposite|plural|past tense) of ({adj}|{topic}|go)", "who is (the richest|the tallest|the oldest|the strongest|the most famous) (man|woman|person|singer|actor) [in the world]",
    "what is the (fastest|cheapest|best) way to {city}", "have you (read|seen|heard|been to) ({topic}|{city}|the news)", "is there (life on mars|a god|a war in {country}|aliens|any hope)", "are (aliens|ghosts|vampires|unicorns|dragons) real", "what (language|food|religion) do they (speak|eat|have) in {country}", "how do i (say|write) (hello|goodbye|thank you|i love you) in {lang}", "which (animal|country|planet|metal|fruit|team) is the (biggest|best|fastest|oldest|smallest)", "what time is it in ({city}|{country})", "when (is|was) (easter|christmas|ramadan|the next election|the second world war|the french revolution|mother's day)", "who (won|lost) (the oscar|the war|the cup|the nobel prize)", "how is (life|your family|the economy|{first})",
    "do you think (i am pretty|it will rain|{country} will win|{topic} is {adj})", "let us (play a game|dance|talk about {topic}|go to {city})", "i want to (talk about {topic}|go home|marry you|buy a house|learn {lang}|fly to {city})", "explain {topic} [to me]", "write (a letter|an essay|a poem|code) about {topic}", "what is the (chemical formula|symbol|definition|history|origin) (of|for) {topic}", "who is {first} {last}", "tell me (about|something about) ({topic}|{famous}|{country}|{city})", "what is a {noun}", "what is (the|an old) {noun} made of", "how do you {verb} a {noun}", "why is the (sky blue|grass green|sea salty|sun hot|moon round|snow white|night dark)", "what do ({role}s|cats|bears|fish|bees|people in {country}) eat", "which (bus|train) goes to {city}", "should i (marry|buy a house|call her|quit my job|eat less|invest in {topic})",
]


def question(rng, split=w.TRAIN):
    q = expand(TEMPLATES, rng)[0]
    pick = lambda pool: rng.choice(w.side(pool, False))
    for _ in range(8):
        if "{" not in q:
            break
        for key, value in (("country", lambda: pick(COUNTRIES)), ("city", lambda: pick(CITIES)), ("famous", lambda: pick(FAMOUS)), ("topic2", lambda: pick(TOPICS)), ("topic", lambda: pick(TOPICS)), ("verb", lambda: pick(VERBS)), ("adj", lambda: pick(ADJ)),
                           ("lang", lambda: pick(n.LANGUAGES)), ("role", lambda: rng.choice(n.ROLES)), ("food", lambda: n.dish(rng)), ("noun", lambda: rng.choice(n.THINGS + n.GOODS)), ("mod", lambda: rng.choice(n.MODIFIERS)), ("num", lambda: w.spell(rng.randint(2, 99))),
                           ("first", lambda: w.first_name(rng)), ("last", lambda: w.last_name(rng)), ("invented", lambda: w.invented(rng))):
            if "{" + key + "}" in q:
                q = q.replace("{" + key + "}", value(), 1)
    return q


SCRAPS = "the of and a to in that it was uh um er hm mhm for on at by but so then them they with from or as his her our out up all had did one are were could would been through any some huh ah oh hmm".split()
BITS = "four house going left maybe paper under river walking green another people always found really between money small thing never side because again around little only other want after first away even must through before".split()


def garble(rng):
    """What a recogniser writes for coughs, music and talk in another room."""
    r = rng.random()
    if r < 0.25:
        return rng.choice(("uh", "um", "hm", "huh", "the", "a", "and", "mm", "ah", "oh", "of", "to", "er", "in the", "and the", "...", "?", "it", "hmm", "but", "so the"))
    k = rng.randint(2, 8)
    words = [rng.choice(SCRAPS) if rng.random() < 0.65 else rng.choice(BITS) for _ in range(k)]
    if r > 0.85:
        words = [w.invented(rng) if rng.random() < 0.7 else x for x in words]
    return " ".join(words)
