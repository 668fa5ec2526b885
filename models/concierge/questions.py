"""Turns that ask for facts: of the prompt or beside it, in full, in short, by the answer, or two at once."""

import facts as f
from grammar import expand
from noise import plain
from prompts import head
from talk import OPENERS, TALK, YES_NO, confirmed, surface

PLACES = ("where", "venue", "person_at")  # intents whose answer says where something is
BY_NAME = ("runs", "boss", "called", "contact", "maker", "teaches")  # families whose value is a person
BY_LOCATION = ("where", "there_is", "venue", "there_are")  # families whose value is a location

# What may be asked with a pronoun of a thing that the prompt tells nothing of the sort about.
PRONOUN = {
    "thing": ("open", "price", "lasts", "built", "where", "who_runs", "seats", "phone", "maker"),
    "plural": ("allowed", "buy"),
    "action": (),
    "person": ("phone", "person_at", "person_when"),
}

# Intent: what in a fact of another family may answer it after all, so that "I do not know" would be wrong.
HINTS = {
    "lost": ("lost",),
    "parking": ("park",),
    "smoke": ("smok", "cigar"),
    "age": ("child", "age"),
    "special": ("menu", "lunch", "dinner", "meal", "restaurant", "canteen"),
    "wheelchair": ("wheelchair", "ramp", "accessible"),
    "book": ("book", "appointment"),
    "pay": ("pay", "card"),
    "boss": ("director", "manager", "boss", "owner"),
}


# ---------------------------------------------------------------------------------- in full
def fact(t):
    """A question that the prompt answers."""
    rng = t.rng
    if not t.facts:
        return False
    one = rng.choice(t.facts)
    intents = list(one.intents)
    if one.key in PLACES and "v" in one.slots and rng.random() < 0.05:
        intents = ["isat"]
    elif one.entity != f.US and one.key != "there_is" and rng.random() < 0.04:
        intents = ["about"]
    _ask(t, rng.choice(intents), one.entity, one=one)
    return True


def _ask(t, intent, entity, kind="fact", short=None, one=None):
    """Adds the question `intent` about `entity`; `short`: in these wordings, `one`: with a value of this fact."""
    source = intent
    if intent == "isat":
        source = next((i for i in PLACES if t.answers(i, entity)), PLACES[-1])
    found = t.answers(source, entity)
    x = confirmed(t.rng, intent, [one] if one else found, t.place)
    q, core = t.wording(intent, entity, x, short)
    if found:
        reply = t.reply(found, core, intent, x)
        t.said.append((entity, reply))
        t.add(kind, t.spoken(q), reply, intent=intent, entity=entity)
    else:
        t.add("unknown" if kind == "fact" else kind, t.spoken(q), t.unknown, intent=intent, entity=entity)
    t.last = (intent, entity, found)


# ---------------------------------------------------------------------------------- in short
def follow(t):
    """Ellipsis: the same of another thing ("and the café?"), or more about the same ("and how much is it?")."""
    rng = t.rng
    if not t.last:
        return False
    intent, entity, _ = t.last
    r = rng.random()
    if intent in ("onday", "onday_us") and r < 0.5:
        _ask(t, intent, entity, "follow", TALK["short_day"])
        return True
    if intent in ("onday", "onday_us", "isat", "about", "exists", "langs"):
        return False
    same = [o for o in t.facts if intent in o.intents and o.entity.lower() != entity.lower() and o.entity != f.US]
    if same and entity != f.US and r < 0.6:
        _ask(t, intent, rng.choice(same).entity, "follow", TALK["short"])
        return True
    own = [o for o in t.facts if o.entity.lower() == entity.lower() and set(o.intents) - {intent}]
    others = sorted({i for o in own for i in o.intents} - {intent, "about"})
    if entity == f.US:
        return _follow_us(t, intent, others)
    return _follow_pronoun(t, entity, own, others)


def _follow_us(t, intent, others):
    """More about the place itself."""
    others = [i for i in others if i in f.related(intent)] or others
    if not others:
        return False
    other = t.rng.choice(others)
    bare = t.rng.random() < 0.5 and other in f.related(intent)
    _ask(t, other, f.US, "follow", TALK["bare"].get(other) if bare else None)
    return True


def _follow_pronoun(t, entity, own, others):
    """More about the thing just spoken of, which is "it" now; known or not."""
    rng = t.rng
    mine = [o for o in t.facts if o.entity.lower() == entity.lower()]
    kind = mine[0].kind if mine else "thing"
    if own and rng.random() < 0.85:
        pool = others
    else:
        known = set().union(*(f.related(i) for o in mine for i in o.intents))
        pool = [i for i in PRONOUN.get(kind, ()) if i not in known]
    if not pool:
        return False
    intent = rng.choice(pool)
    if kind == "action":
        return False
    it = {"thing": rng.choice(("it", "it", "that")), "plural": "they", "person": rng.choice(("she", "he"))}[kind]
    found = t.answers(intent, entity)
    x = confirmed(rng, intent, found, t.place)
    bare = intent in TALK["bare"] and rng.random() < 0.45
    core, indirect = expand(TALK["bare"][intent] if bare else f.Q[intent], rng, t.held)
    if not bare:
        fits = kind != "person" or any(s in core for s in ("is {e}", "does {e}"))
        if core.count("{e}") != 1 or not fits:
            return False
    if kind == "plural":
        it = "they" if "are {e}" in core else "them"
    q = rng.choice(("and ", "", "", "okay ", "and ")) + (rng.choice(OPENERS) + " " if indirect else "")
    q += core.replace("{e}'s", {"he": "his", "she": "her"}.get(it, "its")).replace("{e}", it).replace("{x}", x or "")
    user = t.spoken(q)
    reply = t.reply(found, core, intent, x) if found else t.unknown
    t.add("follow", user, reply, intent=intent, entity=entity)
    if found:
        t.said.append((entity, reply))
    t.last = (intent, entity, found)
    return True


# ---------------------------------------------------------------------------------- not in the prompt
def unknown(t):
    """Something of the place that the prompt does not tell: an unknown thing, or a known thing's unknown property."""
    rng = t.rng
    for _ in range(20):
        other = f.make(rng.choices(list(f.FAMILIES), [v["weight"] for v in f.FAMILIES.values()])[0], t.place)
        entity = other.entity
        if entity != f.US and rng.random() < 0.45:
            pool = [o.entity for o in t.facts if o.kind == other.kind and o.entity != f.US]
            entity = rng.choice(pool) if pool else entity
        intent = rng.choice(other.intents)
        if intent == "about" or _may_be_known(t, intent, entity):
            continue
        x = confirmed(rng, intent, [], t.place)
        q, _ = t.wording(intent, entity, x)
        t.add("unknown", t.spoken(q), t.unknown, intent=intent, entity=entity)
        t.last = (intent, entity, [])
        return True
    return False


def _may_be_known(t, intent, entity):
    """Whether some fact could be taken for an answer, by its question, its noun or its words."""
    known = {i for o in t.facts if _same(o, entity) for i in o.intents}
    if f.related(intent) & known or "about" in known:
        return True
    if intent == "entry" and any("price" in o.intents for o in t.facts):
        return True
    us = {i for o in t.facts if o.entity == f.US for i in o.intents}
    if intent == "price" and "ticket" in entity and "entry" in us:
        return True
    if any(hint in o.text.lower() for o in t.facts for hint in HINTS.get(intent, ())):
        return True
    if intent == "contact" and any(plain(entity).split()[-1][:5] in o.text.lower() for o in t.facts):
        return True
    return entity != f.US and intent in ("open", "close", "hours") and head(entity) == t.place.kind


def _same(fact_, entity):
    """Whether a fact speaks of `entity`, or of something with the same noun."""
    if fact_.entity.lower() == entity.lower():
        return True
    return entity != f.US and (head(fact_.entity) == head(entity) or entity.lower() in fact_.text.lower())


# ---------------------------------------------------------------------------------- by the answer; two at once
def inverse(t):
    """A question by the answer: who Maria is, what is on the second floor."""
    rng = t.rng
    pool = []
    for o in t.facts:
        for k in "vo":
            value = o.slots.get(k, "")
            if not value or sum(value in x.own for x in t.facts) != 1 or any(value in s for s in t.who.extra):
                continue
            if value[0].isupper() and (o.key in BY_NAME or o.key.startswith("who_")):
                pool.append((o, value, TALK["by_person"]))
            elif o.key in BY_LOCATION and k == "v" and value in o.own and not value.startswith(("at ", "five", "out")):
                pool.append((o, value, TALK["by_place"]))
    if not pool:
        return False
    one, value, templates = rng.choice(pool)
    core, indirect = expand(templates, rng, t.held)
    q = (rng.choice(OPENERS) + " " if indirect else "") + core.replace("{v}", value)
    t.add("inverse", t.spoken(q), one.text, entity=one.entity)
    t.said.append((one.entity, one.text))
    t.last = None
    return True


def double(t):
    """Two questions in one turn: both facts, in the order of the questions."""
    rng = t.rng
    pool = [o for o in t.facts if o.key not in ("dayhours", "dayhours_us") and o.intents[0] != "about"]
    if len(pool) < 2:
        return False
    a, b = rng.sample(pool, 2)
    if a.entity != b.entity and rng.random() < 0.3:
        same = [o for o in pool if o is not a and (o.entity == a.entity or o.intents[0] == a.intents[0])]
        b = rng.choice(same) if same else b
    intents = rng.choice(a.intents), rng.choice(b.intents)
    first = _direct(t, a, intents[0], pronoun=False)
    second = first and _direct(t, b, intents[1], pronoun=b.entity == a.entity and a.kind == "thing")
    if not second or first.startswith(YES_NO) or second.startswith(YES_NO):
        return False
    found = [o for one, intent in zip((a, b), intents) for o in t.answers(intent, one.entity)[:1]]
    t.add("double", t.spoken(f"{first} and {second}"), " ".join(dict.fromkeys(o.text for o in found)))
    t.said += [(a.entity, a.text)] if a.entity != b.entity else []
    t.last = None
    return True


def _direct(t, one, intent, pronoun):
    """A direct question, with "it" for the thing where that is clear; None if ten tries make none."""
    for _ in range(10):
        core, indirect = expand(f.Q[intent], t.rng, t.held)
        if not indirect and "{x}" not in core and not core.startswith(("{e}", "i ", "looking", "(")):
            it = pronoun and core.count("{e}") == 1
            return core.replace("{e}", "it" if it else surface(t.rng, one.entity, [o.entity for o in t.facts], t.split))
    return None
