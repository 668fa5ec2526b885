"""The state of one conversation in the making: what is asked, how it is said, and what the right answer is."""

import facts as f
import joining
import nouns as n
import words as w
from grammar import expand
from noise import plain, speech_noise, typed
from prompts import head

SOCIAL = w.read("social.yml")  # kind: wordings and their one reply
TALK = w.read("talk.yml")  # wordings of everything else
OPENERS, HAILS, TAILS = TALK["openers"], TALK["hails"], TALK["tails"]

UNCLEAR = "Sorry, I did not understand that. Could you say it again?"
NO_FACT = "I am sorry, I do not know that."
NO_MODEL = "I do not know that. A larger model that does can be connected in the settings."


# ---------------------------------------------------------------------------------- questions
def surface(rng, entity, others, split):
    """The entity as a visitor says it: mostly as in the fact; by its head, a synonym, "a", "your", "this"."""
    if entity == f.US:
        return ""
    art, bare = (
        (entity[:4], entity[4:])
        if entity.startswith("the ")
        else (entity.split()[0] + " ", entity.split(" ", 1)[1])
        if entity.startswith(("a ", "an "))
        else ("", entity)
    )
    r = rng.random()
    if r < 0.14 and bare in n.SYNONYMS:
        bare = rng.choice(n.SYNONYMS[bare])
    elif r < 0.24 and art == "the " and len(bare.split()) > 1 and sum(head(o) == head(entity) for o in others) == 1:
        bare = head(entity)
    r = rng.random()
    if art == "the " and r < 0.14:
        return rng.choice(("", w.article(bare)[: -len(bare)], "your ", "this ", "")) + bare
    if art in ("a ", "an ") and r < 0.2:
        return rng.choice(("the ", "one ", "")) + bare
    if art in ("a ", "an "):
        return w.article(bare)
    return art + bare


YES_NO = (
    "is ",
    "are ",
    "can ",
    "may ",
    "could i ",
    "could we ",
    "do you ",
    "do we ",
    "does ",
    "if ",
    "whether ",
    "will ",
    "have you ",
    "so ",
    "may i ",
    "would ",
)
NEGATIVE = ("forbidden", "prohibited", "banned", "not allowed", "problem", "have to pay", "charge", "shut", "closed")


def verdict(core, intent, fact, x):
    """ "Yes", "No" or "" before a fact, by the wording of the question."""
    if not core.startswith(YES_NO):
        return ""
    turn = any(t in core for t in NEGATIVE)
    if intent in ("exists", "where_pl", "sells") or (intent == "buy" and core.startswith(("do", "is", "can", "could"))):
        return (
            "Yes"
            if core.startswith(
                (
                    "is there",
                    "are there",
                    "do you",
                    "have you",
                    "can i",
                    "could i",
                    "is {e} here",
                    "does",
                    "is there somewhere",
                )
            )
            else ""
        )
    if intent == "isat":
        return "Yes" if x in fact.own else "No"
    low = fact.own.lower()
    if intent == "allowed":
        good = not any(t in low for t in ("not ", "forbidden", "prohibited", "no ", "only"))
        bad = any(t in low for t in ("not allowed", "forbidden", "prohibited", "not permitted", "not bring", "no "))
        good, bad = (bad, good) if turn else (good, bad)
        return "Yes" if good else "No" if bad else ""
    if intent in ("onday", "onday_us"):
        d = fact.slots.get("d", "")
        if not x or d.rstrip("s") != x.rstrip("s") or d.startswith("from"):
            return ""
        closed = any(t in low for t in ("closed", "except", "does not open"))
        return "Yes" if closed == turn else "No"
    if intent == "smoke":
        return "No" if any(t in low for t in ("not allowed", "forbidden", "not permitted", "do not")) else ""
    if intent == "langs":
        return "Yes" if x in low else "No"
    if fact.key in ("can_do", "may_not") and core.startswith(
        ("can", "may", "could", "is it", "if", "whether", "is there")
    ):
        return "Yes" if fact.key == "can_do" else "No"
    if fact.key in ("must", "need_not") and core.startswith(("do", "must", "is it", "if", "whether")):
        return (
            "Yes"
            if fact.key == "must"
            and fact.slots.get("W", "you") in ("you", "visitors", "guests", "all visitors", "everyone")
            else "No"
            if fact.key == "need_not"
            else ""
        )
    if intent == "wheelchair" and core.startswith(("is ", "can i")) and "accessible" in low and "the building" in low:
        return "Yes"
    if intent == "password" and core.startswith(("do you have", "is there", "have you")):
        return "Yes"
    if intent == "parking" and core.startswith(("is there", "do you have", "can i")):
        return "Yes"
    return ""


def confirmed(rng, intent, facts, place):
    """A value for the slot {x} of yes/no questions."""
    values = facts[0].slots if facts else {}
    if intent in ("onday", "onday_us", "person_when"):
        return (
            values["d"]
            if "d" in values and rng.random() < 0.75 and not values["d"].startswith(("from", "on ", "every", "a"))
            else w.day(rng)
        )
    if intent == "langs":
        pool = [x for x in n.LANGUAGES if facts and x in facts[0].text]
        return (rng.choice(pool) if pool and rng.random() < 0.6 else rng.choice(n.LANGUAGES)).lower()
    if intent in ("quantity", "quantity_time"):
        return values.get("x") or f.FAMILIES["quantity"]["slots"]["x"](place)
    if intent == "isat":
        return values.get("v") if "v" in values and rng.random() < 0.5 else n.location(rng, place.split)
    return ""


# Wordings that take no "can you tell me" before them, and such as one may ask of a single dog.
NO_OPENER = ("i ", "do you", "can you", "tell", "could you", "{e}", "looking")
ONE_MAY_ASK = ("can", "may", "could", "is it", "i have", "what about", "how about")


class Talk:
    """The state of one conversation while it is made."""

    def __init__(self, rng, split, who, facts, sentences, noise, held):
        """`who`: the prompt's `Persona`; `sentences`: what stands in the prompt; `noise`: share of misheard turns;
        `held`: whether questions are in held-out wordings."""
        self.rng, self.split, self.noise, self.held = rng, split, noise, held
        self.who, self.place, self.facts, self.sentences = who, who.place, facts, sentences
        self.turns = []
        self.last = None  # (intent, entity, facts found) of the last question
        self.said = []  # (entity, reply) of every answer
        self.visitor = None  # the visitor's name
        self.unknown = f"I do not know that. Please ask {who.fallback}." if who.fallback else NO_FACT
        self.outside = self.unknown if who.fallback else NO_MODEL
        self.hello = (
            f"Hello, {f'and welcome to {who.place.name}' if who.named else f'I am {who.me}'}. How can I help you?"
        )

    def answers(self, intent, entity):
        return [
            x for x in self.facts if x.entity.lower() == entity.lower() and (intent in x.intents or intent == "about")
        ]

    def reply(self, found, core, intent, x):
        """The facts found, as one answer."""
        if intent in ("onday", "onday_us"):
            exact = [o for o in found if o.slots.get("d", "").rstrip("s") == (x or "").rstrip("s")]
            found = exact or found
        found = found[: 3 if intent == "about" else 2]
        word = verdict(core, intent, found[0], x) if len(found) == 1 else ""
        text = " ".join(dict.fromkeys(o.text for o in found))
        if word and not text.startswith(found[0].own[:-1]):  # in a joined sentence the answer may stand second
            word = ""
        return f"{word}, {joining.lowered(text, found[0].entity)}" if word else text

    def wording(self, intent, entity, x, short=None):
        """-> (user text before noise, its core) for a question."""
        rng = self.rng
        core, indirect = expand(short or f.Q[intent], rng, self.held)
        core, name = self._named(core, intent, entity)
        if self.split == w.TRAIN and rng.random() < 0.06 and "{e}" in core and not indirect:
            it = core.replace("{e}", "it")  # the café, when does it open
            q = f"{name} {it}" if rng.random() < 0.5 else f"{it} {name}"
        else:
            q = core.replace("{e}", name)
        q = q.replace("{x}", x or "")
        if indirect or (rng.random() < 0.08 and not core.startswith(NO_OPENER)):
            q = f"{rng.choice(OPENERS)} {q}"
        return q, core

    def _named(self, core, intent, entity):
        """-> (core, name): how the visitor names the entity, which may change the wording too."""
        rng = self.rng
        kind = next((o.kind for o in self.facts if o.entity == entity), "thing")
        name = surface(rng, entity, [o.entity for o in self.facts], self.split)
        if intent in ("can_do", "must"):
            return core, name.replace("your ", "my ")
        if intent == "price" and rng.random() < 0.15 and not self.held:
            ticket = name.split()
            if ticket[-1] == "ticket" and ticket[1] in n.BUYERS:
                return expand(TALK["buyer"], rng)[0], rng.choice(n.BUYERS[ticket[1]])
        if intent == "allowed" and entity in n.BELONGINGS and rng.random() < 0.35:
            name = rng.choice(n.BELONGINGS[entity])
            if entity in TALK["doing"] and rng.random() < 0.5 and not self.held:
                core = expand(TALK["doing"][entity], rng)[0]
            return core, name
        if intent == "allowed" and rng.random() < 0.3 and "{e}" in core and core.startswith(ONE_MAY_ASK):
            one = n.singular(entity)
            return core, rng.choice(("my ", "my ", w.article(one)[: -len(one)], "the ")) + one
        if kind == "plural" and rng.random() < 0.1:
            name = rng.choice(("the ", "some ")) + name if rng.random() < 0.5 else "the " + name
        return core, name

    def spoken(self, q, rare=True, hail=True):
        """Puts small words around `q` and passes it through the recogniser's or the typist's faults."""
        rng = self.rng
        if hail and rng.random() < 0.17:
            q = f"{rng.choice(HAILS)} {q}"
        if hail and rng.random() < 0.1:
            q = f"{q} {rng.choice(TAILS)}"
        if rng.random() < 0.3:
            return typed(rng, q if rng.random() < 0.6 else q.lower())
        text = plain(q)
        unknown = (
            {plain(x) for o in q.split() for x in [o] if o[:1].isupper() and o.lower() not in _DAYS} if rare else ()
        )
        return speech_noise(rng, text, self.noise, unknown)

    def add(self, kind, user, reply, **more):
        self.turns.append(dict(user=user, reply=reply, kind=kind, **more))


_DAYS = {d.lower() for d in w.DAYS} | {d.lower() + "s" for d in w.DAYS}
