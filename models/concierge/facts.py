"""What can stand in a prompt and be asked: fact families, and the questions that they answer.

A fact is a sentence about an *entity* ("the café", or `US`, the place itself).  It answers one or more
*intents* about that entity; a question is an intent, an entity and, for some, a value to be confirmed.
The answer to a question is therefore computed, not written: the facts of the prompt that answer this
intent for this entity, behind "Yes," or "No," where that was the question, or else a refusal.
"""

from dataclasses import dataclass, field

import nouns as n
import samplers
import words as w

US = "us"  # the entity of facts about the place itself

# ------------------------------------------------------------------------------------------ questions
Q = w.read("questions.yml")  # intent: wordings

GROUPS = [set(g) for g in w.read("groups.yml")]


def related(intent):
    return set().union({intent}, *(g for g in GROUPS if intent in g))


@dataclass
class Fact:
    key: str  # the family
    entity: str  # "the café", "dogs", US
    text: str  # the sentence
    intents: tuple  # what it answers
    slots: dict = field(default_factory=dict)
    kind: str = "thing"  # thing, person, plural, action, us: what a pronoun for it is
    own: str = ""  # the sentence before another fact was joined to it

    def __post_init__(self):
        self.own = self.text


@dataclass
class Place:
    """Whom and what a prompt is about; made by `prompts`."""

    rng: object
    split: str
    name: str  # "the Brunswater Museum"
    kind: str  # "museum"
    attribute: str = ""  # of the fact in the making, for `samplers`


# ---------------------------------------------------------------------------------- families
def _sampler(source):
    """A function of the place for what stands in families.yml: a sampler's name, or a list of values."""
    return (lambda p: p.rng.choice(source)) if isinstance(source, list) else getattr(samplers, source)


def _family(about, texts, answers=(), kind="thing", weight=1.0, slots=None):
    return dict(
        entity=US if about == "us" else _sampler(about),
        about=about if isinstance(about, str) else "",
        texts=texts,
        intents=tuple(answers),
        kind="us" if about == "us" else kind,
        weight=weight,
        slots={k: _sampler(v) for k, v in (slots or {}).items()},
    )


FAMILIES = {key: _family(**row) for key, row in w.read("families.yml").items()}


def _add_verbs():
    """Families and questions of verbs.yml: "Maria waters the roses", "who waters the roses"."""
    for base, third, past, participle, objects in w.read("verbs.yml"):
        verb, intent = past or third, f"who_{base}"
        texts = [f"{{v}} {verb} {{e}}"]
        texts += (
            [f"{{v}} {past} {{e}} in {{y}}", f"{{e}} was {participle} by {{v}}"]
            if past
            else [f"{{v}} {third} {{e}} on {{d}}", f"{{v}} {third} {{e}} every day"]
        )
        FAMILIES[intent] = _family(
            objects, texts, [intent], weight=0.14, slots=dict(v="person_or_role", y="year", d="days")
        )
        Q[intent] = [
            f"who {verb} {{e}}",
            f"~who {verb} {{e}}",
            f"who is it that {verb} {{e}}",
            f"#which person {verb} {{e}}",
        ]
        Q[intent] += (
            [f"who has {participle} {{e}}", "by whom was {e} made"]
            if past
            else [f"who (will|can|does) {base} {{e}}", f"who is the one that {third} {{e}}"]
        )


_add_verbs()


def _our_noun(p):
    return p.rng.choice((f"the {p.kind}", f"the {p.kind}", "the house", "the building", p.name))


def alike(a, b):
    """Whether what is told of the entity of one fact can be told of the other's."""
    both = {FAMILIES[a.key]["about"], FAMILIES[b.key]["about"]}
    return (
        len(both) == 1
        or both <= {"space", "place", "thing"}
        or (both <= {"event", "anything"} and a.entity.split()[-1] in n.EVENT_HEADS)
    )


def agree(text, entity):
    """`text` with "are" for "is" where the entity is plural, and the other way round where there is much of it."""
    if entity in n.MASS:
        for e in (entity, w.cap(entity)):
            text = text.replace(f"{e} are ", f"{e} is ").replace(f"here are {e}", f"here is {e}")
    if n.is_plural(entity):
        for one, many in (
            (" is ", " are "),
            (" was ", " were "),
            (" has ", " have "),
            (" sells ", " sell "),
            (" comes ", " come "),
            (" opens ", " open "),
            (" closes ", " close "),
            (" starts ", " start "),
            (" costs ", " cost "),
        ):
            for e in (entity, w.cap(entity)):
                text = text.replace(e + one, e + many)
    return text


def make(key, p):
    """A new fact of family `key` for the place `p`."""
    f = FAMILIES[key]
    e = f["entity"](p) if callable(f["entity"]) else f["entity"]
    slots = {k: s(p) for k, s in f["slots"].items()}
    we = p.rng.random() < 0.55
    us = dict(p="we", s="", are="are") if we else dict(p=_our_noun(p), s="s", are="is")
    bare = e[4:] if e.startswith("the ") else e
    text = p.rng.choice(f["texts"])
    used = {k: v for k, v in slots.items() if "{" + k + "}" in text}
    text = text.format(**{**us, "k": p.kind, "b": bare, "e": e, "a": w.article(bare), "P": p.name, **slots})
    return Fact(key, e, agree(w.cap(text) + ("" if text.endswith(".") else "."), e), f["intents"], used, f["kind"])
