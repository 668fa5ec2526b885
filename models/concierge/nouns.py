"""Noun phrases for the things facts are about: places, objects, events, goods, rules, roles, subjects.

A phrase is a listed noun, often with a modifier or an invented name.  One noun in eight is held out of
training (`words.held_out`) and asked for only by the test split "nouns".
"""
from words import NAMES, NOUNS, TRAIN, article, first_name, invented, last_name, person, side, spell

SPACES = """café library garden cloakroom gift shop|restaurant|main hall|theatre|gallery|reading room|museum|workshop|cinema|
pool|swimming pool|gym|chapel|tower|terrace|studio|archive|kitchen|greenhouse|bakery|laboratory|clinic|office|playground|
bar|lounge|ballroom|market|pharmacy|sauna|bookshop|courtyard|planetarium|aquarium|orchard|boiler house|map room|tea room|
observatory|canteen|cafeteria|reception|front desk|ticket office|waiting room|meeting room|conference room|breakfast room|
dining room|children's corner|quiet room|computer room|treatment room|x-ray department|emergency room|maternity ward|
blood lab|car park|parking garage|spa|steam room|beach|diving tower|children's pool|paddling pool|water slide|rooftop bar|
wine cellar|game room|play area|sports hall|climbing wall|tennis court|football pitch|stadium|lecture hall|auditorium|
museum shop|bike shop|flower shop|hair salon|post office|bank|information desk|help desk|service desk|nursery|
kindergarten|music room|art room|science lab|photo lab|print shop|mail room|server room|storage room|staff room|
box office|concert hall|exhibition|sculpture garden|rose garden|herb garden|petting zoo|monkey house|butterfly house|
reptile house|farm|stable|barn|mill|lighthouse|harbour|pier|ferry terminal|ticket hall|platform|departure hall|
check-in desk|customs|left luggage office|luggage room|lobby|laundry room|ironing room|roof terrace|balcony|attic|cellar|
chapel of rest|crypt|cathedral|church|mosque|temple|castle|dungeon|armoury|treasury|throne room|great hall|stage|foyer|
dressing room|changing room|shower room|locker room|weight room|dance studio|yoga studio|recording studio|dental practice|
eye clinic|children's ward|intensive care unit|day clinic|physiotherapy|radiology|admissions|cashier's office|town hall|
registry office|citizens' office|youth centre|community centre|toy library|repair café|ice rink|bowling alley|
mini golf course|golf course|skate park|camp site|picnic area|barbecue area|dog park|fountain""".replace("\n", "")
SPACES = [s.strip() for s in SPACES.replace("café library garden cloakroom gift shop", "café|library|garden|cloakroom|gift shop").split("|")]
THINGS = """toilet|toilets|restroom|bathroom|lift|elevator|exit|cash machine|lost property box|first aid room|bike rack|
water fountain|ticket desk|info point|baby room|smoking area|stairs|coat rack|meeting point|bus stop|taxi stand|old clock|
statue|piano|printer|lockers|vending machine|golden mask|stone lion|blue whale|fire exit|letter box|model ship|
phone booth|red dragon|prayer room|photo booth|glass bridge|coffee machine|copy machine|photocopier|projector|
defibrillator|fire extinguisher|first aid kit|emergency exit|escalator|ramp|wheelchair ramp|changing table|drinking fountain|
water dispenser|ice machine|microwave|fridge|dishwasher|shower|showers|hair dryer|bench|lost and found|key box|safe|
notice board|map|guest book|suggestion box|recycling bin|charging station|charging point|power outlet|light switch|
thermostat|fuse box|main switch|alarm|doorbell|intercom|side entrance|main entrance|back door|staff entrance|delivery entrance|
parking meter|ticket machine|turnstile|whiteboard|stapler|shredder|scanner|paper|spare keys|cleaning supplies|
mummy|dinosaur|skeleton|meteorite|painting|portrait|tapestry|sword|crown|throne|organ|harp|steam engine|locomotive|
aeroplane|telescope|globe|mosaic|fossil|diamond|treasure chest|anchor|canoe|totem pole|tiger|elephant|penguins|giraffe|
bears|owls|otters|sharks|turtles|parrots|snake|spider monkey|towels|lifeguard|whirlpool|hot tub|slide|diving board|
baby pool|umbrella stand|stroller park|taxi rank|tram stop|train station|metro station|nearest bank|nearest pharmacy|supermarket"""
THINGS = [s.strip() for s in THINGS.replace("\n", "").split("|")]
EVENTS = """show|concert|tour|film|lecture|play|puppet show|dance class|reading|opera|magic show|fire drill|yoga class|
auction|quiz|story hour|light show|talk|guided walk|wine tasting|choir|boat trip|ceremony|robot parade|jazz night|
cooking class|treasure hunt|guided tour|night tour|city tour|children's tour|family workshop|pottery workshop|
painting class|drawing course|swimming lesson|aqua fitness|water aerobics|swim class|first aid course|book club|
chess club|poetry evening|film night|open day|summer party|christmas market|flea market|farmers' market|exhibition opening|
feeding|penguin feeding|sea lion show|falconry show|fireworks|parade|carnival|board meeting|team meeting|staff meeting|
morning meeting|training|seminar|workshop|conference|breakfast|lunch|dinner|happy hour|tea time|evening prayer|mass|
service|wedding|blood donation|vaccination day|eye test|health talk|language course|computer course|job fair|
science show|planetarium show|organ recital|piano recital|ballet|musical|match|race|marathon|tournament|final|
karaoke night|salsa night|bingo|disco|shuttle bus|boat tour|bike tour|ghost tour"""
EVENTS = [s.strip() for s in EVENTS.replace("\n", "").split("|")]
GOODS = """coffee|tea|map|audio guide|locker|sandwich|guide book|postcard|bottle of water|cake|towel|room|poster|bicycle|
umbrella|soup|wheelchair|blanket|ice cream|headset|single room|double room|family room|suite|parking space|day pass|
season pass|bike|kayak|rowing boat|pedal boat|sun bed|deck chair|massage|haircut|sauna visit|swimming lesson|swim cap|
pair of goggles|key card|copy|colour copy|print|library card|lost card|late book|stamp|t-shirt|mug|magnet|toy|book|
catalogue|beer|glass of wine|juice|lemonade|hot chocolate|croissant|pizza|burger|salad|breakfast|lunch|pastry|
bag of popcorn|candle|bouquet|taxi to the station|taxi to the airport|pram|stroller|high chair|extra bed|cot|
late check-out|airport transfer|bus ticket|locker key|phone charger|battery|adapter|pen|notebook|passport photo|
check-up|vaccination|blood test|eye test|cleaning|consultation|gym membership|yearly membership|membership|donut|muffin"""
GOODS = [s.strip() for s in GOODS.replace("\n", "").split("|")]
TICKETS = """adult|child|student|family|senior|day|group|season|evening|weekend|reduced|standard|single|return|children's|
pensioner|school|combined|morning|annual|concert|night|two-hour|monthly|online|regular|early bird""".replace("\n", "").split("|")
ALLOWED = """dogs|photos|food|drinks|bags|umbrellas|phones|pets|bicycles|children|scooters|cameras|videos|balls|skateboards|
large bags|hats|cigarettes|strollers|drones|rucksacks|cats|mobile phones|flash photos|tripods|selfie sticks|suitcases|
hot drinks|ice creams|glass bottles|visitors|guests|babies|guide dogs|small dogs|bikes|prams|wheelchairs|swim shorts|
inflatable toys|shoes|street shoes|headphones|laptops|pens|candles|musical instruments|balloons|parties|barbecues|
sandwiches|snacks|alcoholic drinks|e-cigarettes|knives|backpacks|sleeping bags|tents|water pistols|teenagers|groups"""
ALLOWED = [s.strip() for s in ALLOWED.replace("\n", "").split("|")]
AMENITIES = """parking|breakfast|internet|wifi|room service|luggage storage|child care|a shuttle|the shuttle|coat check|
entry|admission|water|coffee|the audio guide|the tour|the museum|the sauna|the gym|lockers|late check-out|cancellation|
the playground|the exhibition|the map|the boat|public transport|drinking water|toothbrushes|towels|the lockers"""
AMENITIES = [s.strip() for s in AMENITIES.replace("\n", "").split("|")]
ROLES = """cat|dog|robot|parrot|chef|guard|nurse|doctor|guide|ghost|horse|gardener|cook|pianist|mascot|teacher|captain|
director|manager|owner|head nurse|librarian|caretaker|janitor|receptionist|lifeguard|night porter|porter|concierge|
head of sales|head of finance|boss|secretary|assistant|accountant|cleaner|baker|barista|waiter|driver|pilot|coach|
trainer|yoga teacher|swimming teacher|curator|restorer|founder|mayor|president|principal|headmaster|surgeon|dentist|
physiotherapist|midwife|pharmacist|paediatrician|vet|zookeeper|conductor|organist|priest|security chief|fire warden|
head of research|head of marketing|it person|technician|engineer|architect|artist|donkey|turtle|elephant|house ghost"""
ROLES = [s.strip() for s in ROLES.replace("\n", "").split("|")]
TOPICS = """lost property|first aid|bookings|refunds|group visits|complaints|school visits|deliveries|job offers|weddings|
repairs|donations|tickets|rooms|lost keys|lost luggage|invoices|appointments|test results|prescriptions|visas|permits|
parking permits|passwords|computer problems|printer problems|broken lights|room bookings|holidays|sick leave|expenses|
memberships|swimming lessons|birthday parties|catering|press questions|guided tours|internships|volunteering|lost children|
emergencies|noise|taxis|wake-up calls|late arrivals|dietary wishes|allergies|library cards|late fees|insurance|billing"""
TOPICS = [s.strip() for s in TOPICS.replace("\n", "").split("|")]
MODIFIERS = """red blue green yellow white black grey golden silver old new small big great little north south east west
upper lower inner outer long round open secret hidden royal grand modern ancient wooden stone glass iron marble copper
crystal summer winter spring autumn morning evening night sun moon star sky sea river lake forest mountain island garden
rose lily oak maple pine apple cherry lemon honey pepper salt bread milk sugar tiger lion wolf fox bear eagle falcon swan
dragon horse whale turtle rabbit family children's student staff guest visitor city village country world history science
nature music art film photo poetry opera jazz dance sport water fire wind storm cloud thunder shadow light dream magic
queen's king's captain's sailor's painter's writer's doctor's baker's miller's second third central""".split()
LANGUAGES = "English French German Spanish Italian Dutch Arabic Polish Greek Turkish Russian Chinese Japanese Portuguese Swedish Danish Korean Hindi Ukrainian Czech".split()
DISHES = "soup pie salad stew curry pasta risotto cake tart burger pancakes dumplings noodles omelette sandwich lasagne chili".split()
INGREDIENTS = "mushroom leek pumpkin tomato lentil chicken salmon apple carrot cheese onion spinach potato beef tuna plum bean pepper egg walnut".split()
SIMPLE = """tiger lamp river cloud piano seven orange silver mango rabbit stone winter pepper rocket velvet candle falcon maple
ocean ticket sunshine welcome guest badger copper lemon garden planet coffee dragon marble forest butter window blanket
harbour castle whisper thunder pocket bottle cactus""".split()
STATES = """closed for repairs|very old|made of glass|new this year|on loan|out of order|open to everyone|under construction|a copy|
haunted|not for sale|only for members|fully booked|cancelled|sold out|closed in winter|being cleaned|made of bronze|
the oldest in the country|two hundred years old|very popular|heated|for staff only|for guests only|wheelchair accessible|
not wheelchair accessible|a gift from the king|temporarily closed|on holiday|free of charge|painted blue|ten metres long|
four metres deep|made of gold|cleaned every morning|locked at night|not working today|back next week|ready to use""".replace("\n", "").split("|")
GOODS_PLURAL = """stamps|postcards|maps|umbrellas|tickets|sandwiches|cakes|books|toys|flowers|candles|hats|swimsuits|goggles|towels|
ice cream|newspapers|batteries|souvenirs|posters|sunscreen|snacks|drinks|coffee|fresh bread|soap|chocolate|plasters|medicine|
bicycles|skates|boats|keys|lockers|blankets|headphones|magazines|gloves|scarves|jewellery|honey|cheese|wine|tea|stickers""".replace("\n", "").split("|")
KINDS = """museum hotel clinic gallery library theatre school castle zoo station centre garden office hospital institute club
academy palace house aquarium pool inn lodge university college cinema practice spa restaurant bakery company tower hall
gardens baths shop hostel villa resort observatory planetarium archive opera church farm market stadium airport""".split()

SYNONYMS = {"toilet": ["bathroom", "restroom", "loo", "toilets", "washroom"], "toilets": ["bathroom", "restroom", "toilet", "washrooms", "loo"],
            "restroom": ["toilet", "bathroom"], "bathroom": ["toilet", "restroom"],
            "lift": ["elevator"], "elevator": ["lift"], "car park": ["parking lot", "parking", "parking garage"], "café": ["coffee shop", "cafeteria"],
            "gift shop": ["shop", "souvenir shop", "store"], "cloakroom": ["coat check", "wardrobe"], "canteen": ["cafeteria"],
            "cash machine": ["atm", "cash point"], "exit": ["way out"], "stairs": ["staircase"], "front desk": ["reception"],
            "photocopier": ["copy machine", "copier"], "swimming pool": ["pool"], "fridge": ["refrigerator"], "cinema": ["movie theatre"],
            "restaurant": ["dining room"], "pharmacy": ["chemist"], "gym": ["fitness room"], "taxi stand": ["taxis", "taxi rank"],
            "fire exit": ["emergency exit"], "film": ["movie"], "bicycle": ["bike"], "guided tour": ["tour"]}


def is_plural(phrase):
    """Whether a noun phrase takes "are": the toilets, our lockers."""
    last = phrase.split()[-1].lower()
    return last.endswith("s") and not last.endswith(("ss", "us", "is", "'s")) and last not in ("physics", "gas", "radiology")


def singular(phrase):
    """One of a listed plural: dogs -> dog, children -> child."""
    head = phrase.split()[-1]
    one = {"children": "child", "babies": "baby", "parties": "party", "knives": "knife", "glass bottles": "glass bottle", "food": "food", "shoes": "shoes", "sandwiches": "sandwich", "swim shorts": "swim shorts", "headphones": "headphones"}.get(head) or (head[:-1] if head.endswith("s") else head)
    return phrase[:-len(head)] + one


def noun(rng, pool, split):
    return rng.choice(side(pool, split == NOUNS))


def _phrase(rng, pool, split, plain=0.52):
    """A noun of `pool`, bare or with a modifier or an invented or a person's name."""
    base = noun(rng, pool, split)
    r = rng.random()
    if r < plain:
        return base
    if r < plain + 0.18:
        return f"{noun(rng, MODIFIERS, split)} {base}"
    if r < plain + 0.2:
        return f"{base} {invented(rng, split).capitalize() if rng.random() < 0.5 else noun(rng, MODIFIERS, split).capitalize()}"
    head = base.split()[-1]
    if r < plain + 0.36:
        name = invented(rng, split).capitalize() if rng.random() < 0.6 else last_name(rng, split)
        return f"{name} {head.capitalize() if rng.random() < 0.5 else head}"
    if r < plain + 0.41:
        return f"{noun(rng, MODIFIERS, split).capitalize()} {base.title()}".replace("'S", "'s")
    if r < plain + 0.44:
        return invented(rng, split)
    return f"{noun(rng, MODIFIERS, split)} {noun(rng, MODIFIERS, split)} {head}" if r < plain + 0.46 else base


def space(rng, split=TRAIN):
    return "the " + _phrase(rng, SPACES, split)


def thing(rng, split=TRAIN):
    return "the " + _phrase(rng, THINGS, split, 0.6)


def place(rng, split=TRAIN):
    return (space if rng.random() < 0.45 else thing)(rng, split)


def event(rng, split=TRAIN):
    p = _phrase(rng, EVENTS, split)
    return p if p in ("breakfast", "lunch", "dinner", "happy hour", "tea time", "mass", "karaoke night", "bingo") else "the " + p


def goods(rng, split=TRAIN):
    g = noun(rng, GOODS, split)
    if rng.random() < 0.1:
        return "the " + _phrase(rng, EVENTS, split)
    if g in ("breakfast", "lunch", "cleaning", "membership"):
        return g
    return article(f"{rng.choice(('small', 'large', 'big'))} {g}" if rng.random() < 0.08 else g)


def ticket(rng, split=TRAIN):
    return article(noun(rng, TICKETS, split) + " ticket")


def allowed(rng, split=TRAIN):
    return noun(rng, ALLOWED, split)


def role(rng, split=TRAIN):
    r = noun(rng, ROLES, split)
    return f"the {r}" if rng.random() < 0.85 else f"the {noun(rng, MODIFIERS, split)} {r}"


def transport(rng, split=TRAIN):
    v = rng.choice(("bus", "tram", "train", "ferry", "metro line", "shuttle", "night bus", "line"))
    return f"{v} {spell(rng.randint(1, 60)) if rng.random() < 0.6 else rng.randint(1, 199)}"


def location(rng, split=TRAIN):
    """An adverbial of place: on the second floor, next to the café, behind the tall door."""
    r = rng.random()
    if r < 0.16:
        where = f"on the {rng.choice(('first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'ground', 'top', 'lower'))} floor"
        return where + (rng.choice((", next to ", ", behind ", ", near ", " near ", " beside ")) + place(rng, split) if rng.random() < 0.25 else "")
    if r < 0.26:
        return f"in room {spell(rng.randint(1, 60)) if rng.random() < 0.5 else rng.choice((rng.randint(1, 40), rng.randint(100, 499)))}"
    if r < 0.42:
        return rng.choice(("in the basement", "upstairs", "downstairs", "outside on the left", "at the main entrance", "to the left of the entrance",
                           "down the hall on the right", "through the glass door", "at the end of the corridor", "on the left", "on your right",
                           "just around the corner", "across the street", "on the roof", "in the attic", "under the stairs", "by the window",
                           "at the back of the building", "in front of the building", "in the yard", "straight ahead", "behind the second door",
                           "on the right hand side", "two doors down", "past the stairs on the left", "five minutes from here", "in the cupboard",
                           "in the top drawer", "on the shelf by the door", "in the north wing", "in the lobby", "in the next street"))
    if r < 0.52:
        return f"in the {invented(rng, split).capitalize() if rng.random() < 0.7 else last_name(rng, split)} {rng.choice(('Room', 'Hall', 'Wing', 'Building', 'Gallery', 'House'))}"
    if r < 0.60:
        return f"{rng.choice(('on', 'in', 'at'))} {rng.choice(('', spell(rng.randint(1, 99)) + ' ', str(rng.randint(1, 99)) + ' '))}" \
               f"{invented(rng, split).capitalize()} {rng.choice(('Street', 'Square', 'Road', 'Lane', 'Avenue'))}"
    return f"{rng.choice(('next to', 'behind', 'opposite', 'near', 'under', 'to the left of', 'to the right of', 'beside', 'in front of', 'across from', 'in', 'above', 'at'))} " \
        + place(rng, split)


def dish(rng):
    i = rng.sample(INGREDIENTS, 2)
    return f"{i[0]} {rng.choice(('', '', 'and ' + i[1] + ' '))}{rng.choice(DISHES)}" + rng.choice(("", "", f" with {rng.choice(INGREDIENTS)} {rng.choice(('salad', 'sauce', 'rice'))}"))


def password(rng, split=TRAIN):
    return rng.choice((invented(rng, split), f"{rng.choice(SIMPLE)} {spell(rng.randint(1, 99))}", f"{rng.choice(SIMPLE)} {rng.choice(SIMPLE)}",
                       f"{invented(rng, split)} {invented(rng, split)}", f"{rng.choice(SIMPLE)}{rng.randint(1, 999)}",
                       f"{rng.choice(SIMPLE)} {invented(rng, split)}", invented(rng, split).capitalize() + str(rng.randint(1, 2030))))


def institution(rng, split=TRAIN):
    """The name of the place: the Brunswater Museum, Hotel Aurora, the clinic of Harnwick, the town library."""
    kind = noun(rng, KINDS, split) if split == NOUNS else rng.choice(KINDS)
    word = lambda: invented(rng, split).capitalize() if rng.random() < 0.6 else rng.choice((last_name(rng, split), noun(rng, MODIFIERS, split).capitalize()))
    r = rng.random()
    if r < 0.45:
        return f"the {word()} {kind.capitalize()}"
    if r < 0.58:
        return f"the {word()} {word()} {kind.capitalize()}"
    if r < 0.68:
        return f"the {kind} of {invented(rng, split).capitalize()}"
    if r < 0.78:
        return f"{kind.capitalize()} {word()}"
    if r < 0.88:
        return f"{word()} {kind.capitalize()}"
    if r < 0.94:
        return f"the {rng.choice(('town', 'city', 'old', 'new', 'national', 'children’s', 'public', 'state', 'little'))} {kind}".replace("’", "'")
    return f"the {kind} at {word()} {rng.choice(('Square', 'Street', 'Park', 'Lake'))}"
