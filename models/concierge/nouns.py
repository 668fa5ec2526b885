"""Noun phrases for the things facts are about: places, objects, events, goods, rules, roles, subjects.

A phrase is a listed noun, often with a modifier or an invented name.  One noun in eight is held out of
training (`words.held_out`) and asked for only by the test split "nouns".
"""

from words import NOUNS, TRAIN, article, invented, last_name, person, read, side, spell

ALL = read("nouns.yml")
SPACES = ALL["spaces"]
THINGS = ALL["things"]
EVENTS = ALL["events"]
GOODS = ALL["goods"]
TICKETS = ALL["tickets"]
ALLOWED = ALL["allowed"]
AMENITIES = ALL["amenities"]
ROLES = ALL["roles"]
TOPICS = ALL["topics"]
MODIFIERS = ALL["modifiers"]
LANGUAGES = ALL["languages"]
DISHES = ALL["dishes"]
INGREDIENTS = ALL["ingredients"]
SIMPLE = ALL["simple"]
STATES = ALL["states"]
GOODS_PLURAL = ALL["goods_plural"]
KINDS = ALL["kinds"]
SYNONYMS = ALL["synonyms"]  # noun: what visitors also call it
BUYERS = ALL["buyers"]  # kind of ticket: for whom it is asked
BELONGINGS = ALL["belongings"]  # what a rule speaks of: what visitors have with them
EVENT_HEADS = {e.split()[-1] for e in EVENTS}


def is_plural(phrase):
    """Whether a noun phrase takes "are": the toilets, our lockers."""
    last = phrase.split()[-1]
    if last[:1].isupper():
        return False
    return (
        last.endswith("s")
        and not last.endswith(("ss", "us", "is", "'s"))
        and last not in ("physics", "gas", "radiology")
    )


MASS = ("jewellery", "honey", "cheese", "wine", "tea")  # things to buy of which there is much, not many


def singular(phrase):
    """One of a listed plural: dogs -> dog, children -> child."""
    head = phrase.split()[-1]
    one = {
        "children": "child",
        "babies": "baby",
        "parties": "party",
        "knives": "knife",
        "glass bottles": "glass bottle",
        "food": "food",
        "shoes": "shoes",
        "sandwiches": "sandwich",
        "swim shorts": "swim shorts",
        "headphones": "headphones",
    }.get(head) or (head[:-1] if head.endswith("s") else head)
    return phrase[: -len(head)] + one


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
        name = invented(rng, split) if rng.random() < 0.5 else noun(rng, MODIFIERS, split)
        return f"{base} {name.capitalize()}"
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
    return (
        p
        if p in ("breakfast", "lunch", "dinner", "happy hour", "tea time", "mass", "karaoke night", "bingo")
        else "the " + p
    )


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
        where = f"on the {rng.choice(ALL['floors'])} floor"
        if rng.random() < 0.25:
            where += rng.choice((", next to ", ", behind ", ", near ", " near ", " beside ")) + place(rng, split)
        return where
    if r < 0.26:
        if rng.random() < 0.5:
            return f"in room {spell(rng.randint(1, 60))}"
        return f"in room {rng.choice((rng.randint(1, 40), rng.randint(100, 499)))}"
    if r < 0.42:
        return rng.choice(ALL["locations"])
    if r < 0.52:
        name = invented(rng, split).capitalize() if rng.random() < 0.7 else last_name(rng, split)
        return f"in the {name} {rng.choice(('Room', 'Hall', 'Wing', 'Building', 'Gallery', 'House'))}"
    if r < 0.60:
        at = rng.choice(("on", "in", "at"))
        number = rng.choice(("", spell(rng.randint(1, 99)) + " ", str(rng.randint(1, 99)) + " "))
        name = invented(rng, split).capitalize()
        return f"{at} {number}{name} {rng.choice(('Street', 'Square', 'Road', 'Lane', 'Avenue'))}"
    return f"{rng.choice(ALL['prepositions'])} {place(rng, split)}"


def dish(rng):
    i = rng.sample(INGREDIENTS, 2)
    return f"{i[0]} {rng.choice(('', '', 'and ' + i[1] + ' '))}{rng.choice(DISHES)}" + rng.choice(
        ("", "", f" with {rng.choice(INGREDIENTS)} {rng.choice(('salad', 'sauce', 'rice'))}")
    )


def password(rng, split=TRAIN):
    return rng.choice(
        (
            invented(rng, split),
            f"{rng.choice(SIMPLE)} {spell(rng.randint(1, 99))}",
            f"{rng.choice(SIMPLE)} {rng.choice(SIMPLE)}",
            f"{invented(rng, split)} {invented(rng, split)}",
            f"{rng.choice(SIMPLE)}{rng.randint(1, 999)}",
            f"{rng.choice(SIMPLE)} {invented(rng, split)}",
            invented(rng, split).capitalize() + str(rng.randint(1, 2030)),
        )
    )


def institution(rng, split=TRAIN):
    """The name of the place: the Brunswater Museum, Hotel Aurora, the clinic of Harnwick, the town library."""
    kind = noun(rng, KINDS, split) if split == NOUNS else rng.choice(KINDS)

    def word():
        if rng.random() < 0.6:
            return invented(rng, split).capitalize()
        return rng.choice((last_name(rng, split), noun(rng, MODIFIERS, split).capitalize()))

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
    if r < 0.91:
        return f"the {kind} of {person(rng, split)}"
    if r < 0.95:
        adjective = rng.choice(("town", "city", "old", "new", "national", "children's", "public", "state", "little"))
        return f"the {adjective} {kind}"
    return f"the {kind} at {word()} {rng.choice(('Square', 'Street', 'Park', 'Lake'))}"
