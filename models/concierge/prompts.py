"""System prompts as the server writes them: who the model is, where it stands, and the facts it knows.

`persona` makes the first part, `choose_facts` what is known, `combine` how the facts stand as sentences.
"""

from dataclasses import dataclass

import facts as f
import joining
import nouns as n
import words as w

# ---------------------------------------------------------------------------------- the prompt's first part
VOICE = "a friendly assistant that people talk with by voice"
DEFAULT = f"You are {{name}}, {VOICE}. Answer in one to three short spoken sentences, without lists, markdown or emoji."
_PROMPTS = w.read("prompts.yml")
RULES, JOBS, WHATS, FALLBACK_PEOPLE, FALLBACK, THIS_IS = (
    _PROMPTS[k] for k in ("rules", "jobs", "whats", "fallback_people", "fallback", "this_is")
)


@dataclass
class Persona:
    """Who speaks, and where."""

    first: str  # the prompt's first part
    me: str  # the name
    iam: str  # how it introduces itself
    place: f.Place
    named: bool  # whether the prompt names the place
    extra: list  # sentences among the facts that answer no question of their own
    fallback: str | None = None  # whom to send people to


def persona(rng, split):
    """A new persona."""
    own = rng.random() < 0.8
    me = w.first_name(rng, split) if own else rng.choice(("Vivavoce", "Vivavoce", w.invented(rng, split).capitalize()))
    place = f.Place(rng, split, n.institution(rng, split), "house")
    kinds = [k for k in n.KINDS if k in place.name.lower().split()]
    place.kind = kinds[-1] if kinds else "house"
    p = _introduction(rng, me, place)
    if not p.named and rng.random() < 0.4:
        p.extra.append(rng.choice(THIS_IS).format(place=place.name))
        p.named = True
    if rng.random() < 0.5:
        _send_people(rng, split, p)
    return p


def _introduction(rng, me, place):
    """The prompt's first sentences, in one of several forms."""
    r, named = rng.random(), True
    works = f"I am {me}, and I work at {place.name}."
    if r < 0.22:
        if rng.random() < 0.5:
            me = "Vivavoce"
        first, iam, named = DEFAULT.format(name=me), f"I am {me}, {VOICE}.", False
    elif r < 0.30:
        what = rng.choice(WHATS)
        first, iam, named = f"You are {me}, {what}.", f"I am {me}, {what}.", False
    elif r < 0.36:
        first, iam, named = f"Your name is {me}.", f"I am {me}.", False
    elif r < 0.44:
        first, iam = f"You are {me} and you work at {place.name}.", works
    elif r < 0.50:
        first, iam = f"Your name is {me}. You greet visitors at {place.name}.", works
    elif r < 0.56:
        job = rng.choice(JOBS)
        first, iam = f"You are {job} of {place.name}. Your name is {me}.", f"I am {me}, {job} of {place.name}."
    else:
        job, at = rng.choice(JOBS), rng.choice(("of", "of", "of", "at", "in"))
        first, iam = f"You are {me}, {job} {at} {place.name}.", f"I am {me}, {job} {at} {place.name}."
    if r >= 0.22 and rng.random() < 0.65:
        first += "".join(" " + x for x in rng.sample(RULES, rng.choice((1, 1, 2, 3))))
    return Persona(first, me, iam, place, named, [])


def _send_people(rng, split, p):
    """Names somebody who knows the rest, in the first part or among the facts."""
    desk = rng.choice(FALLBACK_PEOPLE), rng.choice(FALLBACK_PEOPLE)
    p.fallback = rng.choice((*desk, w.person(rng, split), n.role(rng, split), n.space(rng, split)))
    sentence = w.cap(rng.choice(FALLBACK).format(x=p.fallback))
    if rng.random() < 0.6:
        p.first += " " + sentence
    else:
        p.extra.append(sentence)


def system_prompt(first, sentences):
    """Exactly what `Persona::prompt` of the server writes."""
    return first + ("\n\nWhat you know: " + " ".join(sentences) if sentences else "")


# ---------------------------------------------------------------------------------- facts of a prompt
def choose_facts(rng, place, count):
    """`count` facts, or fewer, of which no two answer one question differently."""
    keys = list(f.FAMILIES)
    weights = [f.FAMILIES[k]["weight"] for k in keys]
    favourite = rng.sample(keys, 3) if rng.random() < 0.3 else None
    out, taken = [], {}
    for _ in range(count * 8):
        if len(out) >= count:
            break
        key = rng.choice(favourite) if favourite and rng.random() < 0.5 else rng.choices(keys, weights)[0]
        if out and rng.random() < 0.25:  # another of the same family: a distractor
            key = rng.choice(out).key
        fact = f.make(key, place)
        if out and rng.random() < 0.25:  # more about the same thing
            other = rng.choice(out)
            if f.alike(other, fact) and not _told_of(fact, other.entity):
                continue
        if _add(fact, out, taken) and key in OTHER_END and rng.random() < 0.5:
            end = f.make(OTHER_END[key], place)
            if fact.entity == f.US or _told_of(end, fact.entity):
                _add(end, out, taken)
    return out


def _add(fact, out, taken):
    """Adds `fact` if no question then has two answers; says whether. `taken`: what is known of each entity."""
    answered = taken.setdefault(fact.entity.lower(), set())
    if _clashes(fact, out, answered):
        return False
    answered |= set(fact.intents)
    out.append(fact)
    return True


def _told_of(fact, entity):
    """Makes `fact` one about `entity`; False if its sentence does not name what it is about."""
    text = fact.text.replace(w.cap(fact.entity), w.cap(entity)).replace(fact.entity, entity)
    if entity.lower() not in text.lower():
        return False
    fact.entity = entity
    fact.text = fact.own = f.agree(text, entity)
    return True


# Of one thing both are often told, in sentences that differ in one word: only the verb says which answers.
OTHER_END = {"open": "close", "close": "open", "open_us": "close_us", "close_us": "open_us"}
OUR_DAYS = ("onday_us", "closedday_us", "open_us", "close_us", "hours_us")


def _clashes(fact, facts, answered):
    """Whether some question would have two answers; `answered`: what is known of this entity so far."""
    clash = answered & set(fact.intents)
    if clash - {"hours_us"} and fact.entity == f.US:
        return True
    beside = clash <= {"hours", "hours_us"} or fact.key in ("dayhours", "dayhours_us", "about")
    if clash and not beside:
        return True
    if fact.key.startswith("dayhours") and any(_same_day(fact, o) for o in facts):
        return True
    if any(_mistakable(fact.entity, o.entity) for o in facts):
        return True
    if fact.entity != f.US or fact.intents[0] in OUR_DAYS:
        return False
    ours = set().union(*(o.intents for o in facts if o.entity == f.US))
    return not f.related(fact.intents[0]).isdisjoint(ours)


def _same_day(a, b):
    day = a.slots["d"].rstrip("s")
    return a.key == b.key and a.entity == b.entity and b.slots.get("d", "x").rstrip("s") == day


def _mistakable(a, b):
    """Whether one noun phrase is the other with more words: the garden, the rose garden."""
    a, b = a.lower(), b.lower()
    return a != b and head(a) == head(b) and (a in b or b in a)


def combine(rng, facts, split):
    """Joins some neighbouring facts into one sentence, lets some say "it", and adds clauses to some."""
    out = list(facts)
    for o in list(out):  # what is about one thing often stands together
        mates = [x for x in out if x is not o and x.entity == o.entity and o.entity != f.US]
        if mates and rng.random() < 0.6:
            out.remove(o)
            out.insert(out.index(mates[0]) + 1, o)
    i = 0
    while i < len(out):
        fact, after = out[i], out[i + 1] if i + 1 < len(out) else None
        r = rng.random()
        if after and r < (0.35 if after.entity == fact.entity else 0.05) and joining.join(rng, fact, after):
            i += 2
            continue
        if after and r > 0.5 and fact.entity != f.US and joining.pronoun(rng, fact, after):
            i += 2
            continue
        if r > 0.95:
            joining.embellish(rng, fact, split)
        i += 1
    return out


def head(entity):
    return entity.split()[-1].lower()
