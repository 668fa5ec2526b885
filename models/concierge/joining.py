"""Facts as people write them: two in one sentence, the second with "it", or with a clause that answers nothing."""

import nouns as n
import words as w
from facts import US

EXTRAS = [
    ", but not on {d}",
    " and it is very popular",
    " with a view of the {m}",
    ", next to the old {m}",
    ", except on holidays",
    ", please be quiet there",
    ", and everybody is welcome",
    ", but only in summer",
    ", so please be on time",
    " and serves {m} cake all day",
    ", which visitors love",
    ", as long as there is space",
    ", but not in the {m} room",
    ", ask {n} for details",
    ", so bring a jacket",
    ", and it is worth it",
    " for all guests",
    ", like every year",
    ", rain or shine",
    " and is open to all",
]


def embellish(rng, fact, split):
    """Adds a clause that answers nothing by itself."""
    extra = rng.choice(EXTRAS).format(d=w.days(rng), m=rng.choice(n.MODIFIERS[:140]), n=w.first_name(rng, split))
    fact.text = fact.text[:-1] + extra + "."


def stripped(fact):
    """The sentence without its subject, if the subject is the entity: "closes at nine"."""
    head = w.cap(fact.entity) + " "
    return fact.text[len(head) : -1] if fact.text.startswith(head) and fact.entity != US else None


def lowered(text, entity):
    """`text` as it stands inside a sentence: names keep their capital."""
    return text[:1].lower() + text[1:] if entity[:1].islower() and text.startswith(w.cap(entity)) else w.decap(text)


def join(rng, a, b):
    """Makes two facts one sentence, which then answers for both; False if they do not fit."""
    if max(len(a.text), len(b.text)) > 75 or ", and " in a.text or a.text == b.text:
        return False
    if a.entity == b.entity:
        rest = stripped(b)
        if rest is None or not stripped(a):
            return False
        text = a.text[:-1] + rng.choice((" and ", " and ", ", and it ", " and it ")) + rest + "."
    else:
        text = a.text[:-1] + rng.choice((" and ", ", and ", ", ", "; ", ", while ")) + lowered(b.text, b.entity)
    a.text = b.text = text
    return True


def pronoun(rng, a, b):
    """Lets `b`, which follows `a` about the same thing, say "it"."""
    it = {"thing": "it", "plural": "they", "person": rng.choice(("she", "he"))}.get(b.kind)
    if not it or a.entity != b.entity or (b.entity not in b.text and w.cap(b.entity) not in b.text):
        return False
    if n.is_plural(b.entity) and it == "it":
        return False
    if b.text.startswith(w.cap(b.entity) + " "):
        b.text = w.cap(it) + b.text[len(b.entity) :]
    elif b.kind == "thing":
        b.text = b.text.replace(b.entity, it, 1)
    else:
        return False
    return True
