"""System prompts as the server writes them: who the model is, where it stands, and the facts it knows.

`persona` makes the first part, `choose_facts` what is known, `combine` how the facts stand as sentences.
"""

import facts as f
import joining
import nouns as n
import words as w

# ---------------------------------------------------------------------------------- the prompt's first part
DEFAULT = (
    "You are {name}, a friendly assistant that people talk with by voice. Answer in one to three short spoken sentences, "
    "without lists, markdown or emoji."
)
_PROMPTS = w.read("prompts.yml")
RULES, JOBS, FALLBACK_PEOPLE, FALLBACK = (_PROMPTS[k] for k in ("rules", "jobs", "fallback_people", "fallback"))


def persona(rng, split):
    """-> (first part of the prompt, own name, self-introduction, Place, facts that belong to it, fallback person)."""
    me = (
        w.first_name(rng, split)
        if rng.random() < 0.8
        else rng.choice(("Vivavoce", "Vivavoce", w.invented(rng, split).capitalize()))
    )
    place = f.Place(rng, split, n.institution(rng, split), "house")
    kinds = [k for k in n.KINDS if k in place.name.lower().split()]
    place.kind = kinds[-1] if kinds else "house"
    extra, r, named = [], rng.random(), True
    if r < 0.22:
        if rng.random() < 0.5:
            me = "Vivavoce"
        first, iam, named = (
            DEFAULT.format(name=me),
            f"I am {me}, a friendly assistant that people talk with by voice.",
            False,
        )
    elif r < 0.30:
        what = rng.choice(
            (
                "a helpful assistant",
                "a voice assistant",
                "a kind helper",
                "a polite assistant",
                "a robot",
                "an assistant on a kiosk",
                "the assistant of this house",
            )
        )
        first, iam, named = f"You are {me}, {what}.", f"I am {me}, {what}.", False
    elif r < 0.36:
        first, iam, named = f"Your name is {me}.", f"I am {me}.", False
    elif r < 0.44:
        first, iam = f"You are {me} and you work at {place.name}.", f"I am {me}, and I work at {place.name}."
    elif r < 0.50:
        first, iam = (
            f"Your name is {me}. You greet visitors at {place.name}.",
            f"I am {me}, and I work at {place.name}.",
        )
    elif r < 0.56:
        job = rng.choice(JOBS)
        first, iam = f"You are {job} of {place.name}. Your name is {me}.", f"I am {me}, {job} of {place.name}."
    else:
        job, at = rng.choice(JOBS), rng.choice(("of", "of", "of", "at", "in"))
        first, iam = f"You are {me}, {job} {at} {place.name}.", f"I am {me}, {job} {at} {place.name}."
    if r >= 0.22 and rng.random() < 0.65:
        first += "".join(" " + x for x in rng.sample(RULES, rng.choice((1, 1, 2, 3))))
    if not named and rng.random() < 0.4:
        extra.append(
            rng.choice(
                (
                    f"This is {place.name}.",
                    f"The name of this place is {place.name}.",
                    f"You are at {place.name}.",
                    f"We are {place.name}.",
                    f"Visitors are at {place.name}.",
                )
            )
        )
        named = True
    fallback = None
    if rng.random() < 0.5:
        fallback = rng.choice(
            (
                rng.choice(FALLBACK_PEOPLE),
                rng.choice(FALLBACK_PEOPLE),
                w.person(rng, split),
                n.role(rng, split),
                n.space(rng, split),
            )
        )
        sentence = w.cap(rng.choice(FALLBACK).format(x=fallback))
        if rng.random() < 0.6:
            first += " " + sentence
        else:
            extra.append(sentence)
    return first, me, iam, place, extra, fallback, named


def system_prompt(first, sentences):
    """Exactly what `Persona::prompt` of the server writes."""
    return first + ("\n\nWhat you know: " + " ".join(sentences) if sentences else "")


# ---------------------------------------------------------------------------------- facts of a prompt
def choose_facts(rng, place, count):
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
            if f.alike(other, fact):
                fact.text = fact.text.replace(w.cap(fact.entity), w.cap(other.entity)).replace(
                    fact.entity, other.entity
                )
                if other.entity.lower() not in fact.text.lower():
                    continue
                fact.entity = other.entity
                fact.text = fact.own = f.agree(fact.text, fact.entity)
        old = taken.setdefault(fact.entity.lower(), set())
        clash = old & set(fact.intents)
        if (
            clash
            and not (clash <= {"hours", "hours_us"} or fact.key in ("dayhours", "dayhours_us", "about"))
            or fact.entity == f.US
            and clash
        ):
            continue
        if fact.key.startswith("dayhours") and any(
            o.key == fact.key
            and o.entity == fact.entity
            and o.slots.get("d", "x").rstrip("s") == fact.slots["d"].rstrip("s")
            for o in out
        ):
            continue
        if any(
            fact.entity.lower() != o.entity.lower()
            and head(fact.entity) == head(o.entity)
            and (o.entity.lower() in fact.entity.lower() or fact.entity.lower() in o.entity.lower())
            for o in out
        ):
            continue
        if (
            not f.related(fact.intents[0]).isdisjoint(set().union(*(o.intents for o in out if o.entity == f.US)))
            and fact.entity == f.US
            and fact.intents[0] not in ("onday_us", "closedday_us", "open_us", "close_us", "hours_us")
        ):
            continue
        old |= set(fact.intents)
        out.append(fact)
    return out


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
