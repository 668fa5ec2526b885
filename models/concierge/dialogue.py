"""One conversation: a system prompt as the server writes it, user turns, and the replies that are right.

A reply follows from the prompt and the conversation alone, so greedy decoding can be scored exactly.
`make(rng, ...)` -> dict(system, facts, turns=[dict(user, reply, kind, call?, result?)]).
"""
import json

import facts as f
import free
import nouns as n
import outside
import words as w
from grammar import expand
from noise import plain, speech_noise, typed

# ---------------------------------------------------------------------------------- fixed replies
UNCLEAR = "Sorry, I did not understand that. Could you say it again?"
NO_FACT = "I am sorry, I do not know that."
NO_MODEL = "I do not know that. A larger model that does can be connected in the settings."

SOCIAL = w.read("social.yml")             # kind: wordings and their one reply
TALK = w.read("talk.yml")                 # wordings of everything else
OPENERS, HAILS, TAILS = TALK["openers"], TALK["hails"], TALK["tails"]

# ---------------------------------------------------------------------------------- the prompt's first part
DEFAULT = ("You are {name}, a friendly assistant that people talk with by voice. Answer in one to three short spoken sentences, "
           "without lists, markdown or emoji.")
_PROMPTS = w.read("prompts.yml")
RULES, JOBS, FALLBACK_PEOPLE, FALLBACK = (_PROMPTS[k] for k in ("rules", "jobs", "fallback_people", "fallback"))


def persona(rng, split):
    """-> (first part of the prompt, own name, self-introduction, Place, facts that belong to it, fallback person)."""
    me = w.first_name(rng, split) if rng.random() < 0.8 else rng.choice(("Vivavoce", "Vivavoce", w.invented(rng, split).capitalize()))
    place = f.Place(rng, split, n.institution(rng, split), "house")
    kinds = [k for k in n.KINDS if k in place.name.lower().split()]
    place.kind = kinds[-1] if kinds else "house"
    extra, r, named = [], rng.random(), True
    if r < 0.22:
        if rng.random() < 0.5:
            me = "Vivavoce"
        first, iam, named = DEFAULT.format(name=me), f"I am {me}, a friendly assistant that people talk with by voice.", False
    elif r < 0.30:
        what = rng.choice(("a helpful assistant", "a voice assistant", "a kind helper", "a polite assistant", "a robot", "an assistant on a kiosk", "the assistant of this house"))
        first, iam, named = f"You are {me}, {what}.", f"I am {me}, {what}.", False
    elif r < 0.36:
        first, iam, named = f"Your name is {me}.", f"I am {me}.", False
    elif r < 0.44:
        first, iam = f"You are {me} and you work at {place.name}.", f"I am {me}, and I work at {place.name}."
    elif r < 0.50:
        first, iam = f"Your name is {me}. You greet visitors at {place.name}.", f"I am {me}, and I work at {place.name}."
    elif r < 0.56:
        job = rng.choice(JOBS)
        first, iam = f"You are {job} of {place.name}. Your name is {me}.", f"I am {me}, {job} of {place.name}."
    else:
        job, at = rng.choice(JOBS), rng.choice(("of", "of", "of", "at", "in"))
        first, iam = f"You are {me}, {job} {at} {place.name}.", f"I am {me}, {job} {at} {place.name}."
    if r >= 0.22 and rng.random() < 0.65:
        first += "".join(" " + x for x in rng.sample(RULES, rng.choice((1, 1, 2, 3))))
    if not named and rng.random() < 0.4:
        extra.append(rng.choice((f"This is {place.name}.", f"The name of this place is {place.name}.", f"You are at {place.name}.", f"We are {place.name}.", f"Visitors are at {place.name}.")))
        named = True
    fallback = None
    if rng.random() < 0.5:
        fallback = rng.choice((rng.choice(FALLBACK_PEOPLE), rng.choice(FALLBACK_PEOPLE), w.person(rng, split), n.role(rng, split), n.space(rng, split)))
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
        if out and rng.random() < 0.25:                                # another of the same family: a distractor
            key = rng.choice(out).key
        fact = f.make(key, place)
        if out and rng.random() < 0.25:                                # more about the same thing
            other = rng.choice(out)
            if f.alike(other, fact):
                fact.text = fact.text.replace(w.cap(fact.entity), w.cap(other.entity)).replace(fact.entity, other.entity)
                if other.entity.lower() not in fact.text.lower():
                    continue
                fact.entity = other.entity
                fact.text = fact.own = f.agree(fact.text, fact.entity)
        old = taken.setdefault(fact.entity.lower(), set())
        clash = old & set(fact.intents)
        if clash and not (clash <= {"hours", "hours_us"} or fact.key in ("dayhours", "dayhours_us", "about")) or fact.entity == f.US and clash:
            continue
        if fact.key.startswith("dayhours") and any(o.key == fact.key and o.entity == fact.entity and o.slots.get("d", "x").rstrip("s") == fact.slots["d"].rstrip("s") for o in out):
            continue
        if any(fact.entity.lower() != o.entity.lower() and _head(fact.entity) == _head(o.entity) and (o.entity.lower() in fact.entity.lower() or fact.entity.lower() in o.entity.lower()) for o in out):
            continue
        if not f.related(fact.intents[0]).isdisjoint(set().union(*(o.intents for o in out if o.entity == f.US))) and fact.entity == f.US and fact.intents[0] not in ("onday_us", "closedday_us", "open_us", "close_us", "hours_us"):
            continue
        old |= set(fact.intents)
        out.append(fact)
    return out


def combine(rng, facts, split):
    """Joins some neighbouring facts into one sentence, lets some say "it", and adds clauses to some."""
    out = list(facts)
    for o in list(out):                                       # what is about one thing often stands together
        mates = [x for x in out if x is not o and x.entity == o.entity and o.entity != f.US]
        if mates and rng.random() < 0.6:
            out.remove(o)
            out.insert(out.index(mates[0]) + 1, o)
    i = 0
    while i < len(out):
        fact, after = out[i], out[i + 1] if i + 1 < len(out) else None
        r = rng.random()
        if after and r < (0.35 if after.entity == fact.entity else 0.1) and free.join(rng, fact, after):
            i += 2
            continue
        if after and r > 0.5 and fact.entity != f.US and free.pronoun(rng, fact, after):
            i += 2
            continue
        if r > 0.91:
            free.embellish(rng, fact, split)
        i += 1
    return out


def _head(entity):
    return entity.split()[-1].lower()


# ---------------------------------------------------------------------------------- questions
def surface(rng, entity, others, split):
    """The entity as a visitor says it: mostly as in the fact; by its head, a synonym, "a", "your", "this"."""
    if entity == f.US:
        return ""
    art, bare = (entity[:4], entity[4:]) if entity.startswith("the ") else (entity.split()[0] + " ", entity.split(" ", 1)[1]) if entity.startswith(("a ", "an ")) else ("", entity)
    r = rng.random()
    if r < 0.14 and bare in n.SYNONYMS:
        bare = rng.choice(n.SYNONYMS[bare])
    elif r < 0.24 and art == "the " and len(bare.split()) > 1 and sum(_head(o) == _head(entity) for o in others) == 1:
        bare = _head(entity)
    r = rng.random()
    if art == "the " and r < 0.14:
        return rng.choice(("", w.article(bare)[:-len(bare)], "your ", "this ", "")) + bare
    if art in ("a ", "an ") and r < 0.2:
        return rng.choice(("the ", "one ", "")) + bare
    if art in ("a ", "an "):
        return w.article(bare)
    return art + bare


YES_NO = ("is ", "are ", "can ", "may ", "could i ", "could we ", "do you ", "do we ", "does ", "if ", "whether ", "will ", "have you ", "so ", "may i ", "would ")
NEGATIVE = ("forbidden", "prohibited", "banned", "not allowed", "problem", "have to pay", "charge", "shut", "closed")


def verdict(core, intent, fact, x):
    """"Yes", "No" or "" before a fact, by the wording of the question."""
    if not core.startswith(YES_NO):
        return ""
    turn = any(t in core for t in NEGATIVE)
    if intent in ("exists", "where_pl", "sells") or intent == "buy" and core.startswith(("do", "is", "can", "could")):
        return "Yes" if core.startswith(("is there", "are there", "do you", "have you", "can i", "could i", "is {e} here", "does", "is there somewhere")) else ""
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
    if fact.key in ("can_do", "may_not") and core.startswith(("can", "may", "could", "is it", "if", "whether", "is there")):
        return "Yes" if fact.key == "can_do" else "No"
    if fact.key in ("must", "need_not") and core.startswith(("do", "must", "is it", "if", "whether")):
        return "Yes" if fact.key == "must" and fact.slots.get("W", "you") in ("you", "visitors", "guests", "all visitors", "everyone") else "No" if fact.key == "need_not" else ""
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
        return values["d"] if "d" in values and rng.random() < 0.75 and not values["d"].startswith(("from", "on ", "every", "a")) else w.day(rng)
    if intent == "langs":
        pool = [x for x in n.LANGUAGES if facts and x in facts[0].text]
        return (rng.choice(pool) if pool and rng.random() < 0.6 else rng.choice(n.LANGUAGES)).lower()
    if intent in ("quantity", "quantity_time"):
        return values.get("x") or rng.choice(free.QUANTITY_VERBS)
    if intent == "isat":
        return values.get("v") if "v" in values and rng.random() < 0.5 else n.location(rng, place.split)
    return ""


class Talk:
    """The state of one conversation while it is made."""

    def __init__(self, rng, split, facts, place, noise, held):
        self.rng, self.split, self.facts, self.place, self.noise, self.held = rng, split, facts, place, noise, held
        self.turns, self.last, self.visitor, self.said = [], None, None, []

    def answers(self, intent, entity):
        return [x for x in self.facts if x.entity.lower() == entity.lower() and (intent in x.intents or intent == "about")]

    def reply(self, found, core, intent, x):
        """The facts found, as one answer."""
        if intent in ("onday", "onday_us"):
            exact = [o for o in found if o.slots.get("d", "").rstrip("s") == (x or "").rstrip("s")]
            found = exact or found
        found = found[:3 if intent == "about" else 2]
        word = verdict(core, intent, found[0], x) if len(found) == 1 else ""
        text = " ".join(dict.fromkeys(o.text for o in found))
        if word and not text.startswith(found[0].own[:-1]):            # in a joined sentence the answer may stand second
            word = ""
        return f"{word}, {free.lowered(text, found[0].entity)}" if word else text

    def wording(self, intent, entity, x, short=None):
        """-> (user text before noise, its core) for a question."""
        rng = self.rng
        core, indirect = expand(short or f.Q[intent], rng, self.held)
        kind = next((o.kind for o in self.facts if o.entity == entity), "thing")
        name = surface(rng, entity, [o.entity for o in self.facts], self.split)
        if intent in ("can_do", "must"):
            name = name.replace("your ", "my ")
        elif intent == "price" and rng.random() < 0.15 and name.split()[-1] == "ticket" and name.split()[1] in n.BUYERS and not self.held:
            core, name = expand(TALK["buyer"], rng)[0], rng.choice(n.BUYERS[name.split()[1]])
        elif intent == "allowed" and entity in n.BELONGINGS and rng.random() < 0.35:
            name = rng.choice(n.BELONGINGS[entity])
            if entity in ("photos", "food", "drinks") and rng.random() < 0.5 and not self.held:
                core = expand({"photos": ["(can|may|could) i take {e} [here]", "is it ok to take {e}"], "food": ["(can|may) i eat {e} [here]"], "drinks": ["(can|may) i drink {e} [here|inside]"]}[entity], rng)[0]
        elif intent == "allowed" and rng.random() < 0.3 and "{e}" in core and core.startswith(("can", "may", "could", "is it", "i have", "what about", "how about")):
            one = n.singular(entity)
            name = rng.choice(("my ", "my ", w.article(one)[:-len(one)], "the ")) + one
        elif kind == "plural" and rng.random() < 0.1:
            name = rng.choice(("the ", "some ")) + name if rng.random() < 0.5 else "the " + name
        if self.split == "train" and rng.random() < 0.06 and core.count("{e}") and not indirect:      # "the café, when does it open"
            q = f"{name} {core.replace('{e}', 'it')}" if rng.random() < 0.5 else f"{core.replace('{e}', 'it')} {name}"
        else:
            q = core.replace("{e}", name)
        q = q.replace("{x}", x or "")
        plainly = core
        if indirect:
            q = f"{rng.choice(OPENERS)} {q}"
        elif rng.random() < 0.08 and not core.startswith(("i ", "do you", "can you", "tell", "could you", "{e}", "looking")):
            q = f"{rng.choice(OPENERS)} {q}"
        return q, plainly

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
        unknown = {plain(x) for o in q.split() for x in [o] if o[:1].isupper() and o.lower() not in _DAYS} if rare else ()
        return speech_noise(rng, text, self.noise, unknown)

    def add(self, kind, user, reply, **more):
        self.turns.append(dict(user=user, reply=reply, kind=kind, **more))


_DAYS = {d.lower() for d in w.DAYS} | {d.lower() + "s" for d in w.DAYS}


# ---------------------------------------------------------------------------------- kinds of turns
def turn_fact(t):
    """A question that the prompt answers."""
    rng = t.rng
    if not t.facts:
        return False
    fact = rng.choice(t.facts)
    intents = list(fact.intents)
    if fact.key in ("where", "venue", "person_at") and "v" in fact.slots and rng.random() < 0.05:
        intents = ["isat"]
    elif fact.entity != f.US and fact.key != "there_is" and rng.random() < 0.04:
        intents = ["about"]
    intent = rng.choice(intents)
    _ask(t, intent, fact.entity, fact=fact)
    return True


def _ask(t, intent, entity, kind="fact", short=None, fact=None, spoken=None):
    rng = t.rng
    found = t.answers("where" if intent == "isat" and t.answers("where", entity) else "venue" if intent == "isat" and t.answers("venue", entity) else "person_at" if intent == "isat" else intent, entity)
    x = confirmed(rng, intent, [fact] if fact else found, t.place)
    q, core = t.wording(intent, entity, x, short)
    if spoken:
        q = q.replace("{e}", spoken)
    if found:
        reply = t.reply(found, core, intent, x)
        t.said.append((entity, reply))
        t.add(kind, t.spoken(q), reply, intent=intent, entity=entity)
    else:
        t.add("unknown" if kind == "fact" else kind, t.spoken(q), t.unknown, intent=intent, entity=entity)
    t.last = (intent, entity, found)




def turn_follow(t):
    """Ellipsis: the same question about another thing ("and the café?"), or another about the same ("and how much is it?")."""
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
    own = [o for o in t.facts if o.entity.lower() == entity.lower() and intent not in o.intents]
    if entity == f.US:
        pool = [i for o in own for i in o.intents]
        if pool:
            _ask(t, rng.choice(pool), entity, "follow")
            return True
        return False
    if own and rng.random() < 0.85:
        other = rng.choice([i for o in own for i in o.intents])
        if other == "about":
            return False
    else:
        known = set().union(*(f.related(i) for o in t.facts if o.entity.lower() == entity.lower() for i in o.intents))
        kind = next((o.kind for o in t.facts if o.entity.lower() == entity.lower()), "thing")
        pool = [i for i in PRONOUN.get(kind, ()) if i not in known]
        if not pool:
            return False
        other = rng.choice(pool)
    kind = next((o.kind for o in t.facts if o.entity.lower() == entity.lower()), "thing")
    if kind == "action":
        return False
    it = {"thing": rng.choice(("it", "it", "that")), "plural": "they", "person": rng.choice(("she", "he"))}[kind]
    found = t.answers(other, entity)
    x = confirmed(rng, other, found, t.place)
    core, indirect = expand(f.Q[other], rng, t.held)
    if core.count("{e}") != 1 or kind == "person" and not any(s in core for s in ("is {e}", "does {e}")):
        return False
    if kind == "plural":
        it = "they" if "are {e}" in core else "them"
    q = rng.choice(("and ", "", "", "okay ", "and ")) + (rng.choice(OPENERS) + " " if indirect else "") + core.replace("{e}'s", "his" if it == "he" else "her" if it == "she" else "its").replace("{e}", it).replace("{x}", x or "")
    t.add("follow", t.spoken(q), t.reply(found, core, other, x) if found else t.unknown, intent=other, entity=entity)
    if found:
        t.said.append((entity, t.turns[-1]["reply"]))
    t.last = (other, entity, found)
    return True


PRONOUN = {"thing": ("open", "price", "lasts", "built", "where", "who_runs", "seats", "phone", "maker"), "plural": ("allowed", "buy"), "action": (), "person": ("phone", "person_at", "person_when")}


def turn_unknown(t):
    """Something of the place that the prompt does not tell: an unknown thing, or a known thing's unknown property."""
    rng = t.rng
    for _ in range(20):
        g = f.make(rng.choices(list(f.FAMILIES), [v["weight"] for v in f.FAMILIES.values()])[0], t.place)
        entity = g.entity
        if entity != f.US and rng.random() < 0.45:
            pool = [o.entity for o in t.facts if o.kind == g.kind and o.entity != f.US]
            entity = rng.choice(pool) if pool else entity
        intent = rng.choice(g.intents)
        if intent == "about":
            continue
        known = [i for o in t.facts if o.entity.lower() == entity.lower() or entity != f.US and (_head(o.entity) == _head(entity) or entity.lower() in o.text.lower()) for i in o.intents]
        if f.related(intent) & set(known) or "about" in known:
            continue
        us = {i for o in t.facts if o.entity == f.US for i in o.intents}
        if intent == "entry" and any("price" in o.intents for o in t.facts) or intent == "price" and "ticket" in entity and "entry" in us:
            continue
        if intent in ("lost", "parking", "smoke", "age", "special", "wheelchair", "book", "pay", "boss") and any(s in o.text.lower() for o in t.facts for s in
           {"lost": ("lost",), "parking": ("park",), "smoke": ("smok", "cigar"), "age": ("child", "age"), "special": ("menu", "lunch", "dinner", "meal", "restaurant", "canteen"), "wheelchair": ("wheelchair", "ramp", "accessible"), "book": ("book", "appointment"), "pay": ("pay", "card"), "boss": ("director", "manager", "boss", "owner")}[intent]):
            continue
        if intent == "contact" and any(plain(entity).split()[-1][:5] in o.text.lower() for o in t.facts):
            continue
        if entity != f.US and intent in ("open", "close", "hours") and _head(entity) == t.place.kind:
            continue
        x = confirmed(rng, intent, [], t.place)
        q, _ = t.wording(intent, entity, x)
        t.add("unknown", t.spoken(q), t.unknown, intent=intent, entity=entity)
        t.last = (intent, entity, [])
        return True
    return False


def turn_outside(t):
    """General knowledge, wishes, chit-chat that no prompt answers."""
    q = outside.question(t.rng, t.split)
    t.add("outside", t.spoken(q), t.outside)
    return True


def turn_garbled(t):
    q = outside.garble(t.rng)
    t.add("garbled", q, UNCLEAR)
    return True


def turn_social(t):
    kind = t.rng.choice(list(SOCIAL))
    t.add(kind, t.spoken(expand(SOCIAL[kind]["wordings"], t.rng, t.held)[0], hail=False), SOCIAL[kind]["reply"])
    return True


def turn_greet(t):
    t.add("greet", t.spoken(expand(TALK["greet"], t.rng, t.held)[0].replace("{me}", t.me), hail=False), t.hello)
    return True


def turn_who(t):
    t.add("who", t.spoken(expand(TALK["who"], t.rng, t.held)[0]), t.iam)
    return True


def turn_place(t):
    t.add("place", t.spoken(expand(TALK["where_am_i"], t.rng, t.held)[0]), f"You are at {t.place.name}." if t.named else t.unknown)
    return True


def turn_name(t):
    rng = t.rng
    if t.visitor is None and rng.random() < 0.75 or rng.random() < 0.15:
        name = w.first_name(rng, t.split) if rng.random() < 0.75 else f"{w.first_name(rng, t.split)} {w.last_name(rng, t.split)}"
        q = expand(TALK["name_is"], rng, t.held)[0].replace("{n}", name)
        if rng.random() < 0.3:
            user = typed(rng, q).rstrip("?").rstrip("!") if rng.random() < 0.5 else q
            if name not in user:
                user = q
        else:
            user = plain(q)
            if rng.random() < 0.2 and t.noise:                   # a name cut in two by the recogniser is said as it was heard
                heard = speech_noise(rng, plain(name), 1.0, {plain(name)}) if " " not in name else plain(name)
                if heard.replace(" ", "").isalpha():
                    user, name = user.replace(plain(name), heard), " ".join(x.capitalize() for x in heard.split())
        name = " ".join(x.capitalize() for x in name.split()) if name.lower() == name else name
        if name.lower() not in user.lower():
            return False
        t.visitor = name
        t.add("name_is", user, f"Nice to meet you, {name}. How can I help you?")
    else:
        t.add("name_q", t.spoken(expand(TALK["name_q"], rng, t.held)[0]), f"Your name is {t.visitor}." if t.visitor else "You have not told me your name.")
    return True


def turn_repeat(t):
    if not t.turns or t.turns[-1]["kind"] in ("garbled", "bye"):
        return False
    t.add("repeat", t.spoken(expand(TALK["repeat"], t.rng, t.held)[0], hail=False), t.turns[-1]["reply"])
    return True


def turn_said(t):
    rng = t.rng
    if t.said and rng.random() < 0.8:
        entity, _ = rng.choice(t.said)
        if entity == f.US or any(k != entity and _head(k) == _head(entity) for k, _ in t.said):
            return False
        reply = [r for e, r in t.said if e == entity][-1]
        if reply.startswith("I said: "):
            return False
        reply = "I said: " + reply
    else:
        pool = [o.entity for o in t.facts if o.entity != f.US and o.entity not in [e for e, _ in t.said] and not any(_head(e) == _head(o.entity) for e, _ in t.said)]
        pool = [e for e in pool if not any(e.lower() in x["user"].lower() or e.lower() in x["reply"].lower() for x in t.turns)]
        if not pool:
            return False
        entity, reply = rng.choice(pool), "I have not said anything about that yet."
    q = expand(TALK["said_about"], rng, t.held)[0].replace("{e}", surface(rng, entity, [o.entity for o in t.facts], t.split))
    t.add("said", t.spoken(q), reply)
    return True


def turn_asked(t):
    q = t.spoken(expand(TALK["asked"], t.rng, t.held)[0])
    asked = [x["user"] for x in t.turns if x["kind"] not in ("asked", "repeat")]
    if t.turns and t.turns[-1]["kind"] in ("asked", "repeat", "garbled"):
        return False
    t.add("asked", q, "You said: " + asked[-1] if asked else "You have not asked anything yet.")
    return True


def turn_all(t):
    t.add("all", t.spoken(expand(TALK["all"], t.rng, t.held)[0]), " ".join(t.sentences[:3]) if t.sentences else NO_FACT if not t.fallback else t.unknown)
    return True


def turn_clock(t):
    rng = t.rng
    kind = rng.choice(("time", "time", "time", "date", "date", "date", "year"))
    q = expand(TALK[kind], rng, t.held)[0]
    h, m, weekday, d, month, year = rng.randint(0, 23), rng.randint(0, 59), w.day(rng), rng.randint(1, 31), rng.randint(1, 12), rng.randint(2024, 2039)
    result = dict(date=f"{year}-{month:02d}-{d:02d}", weekday=weekday, time=f"{h:02d}:{m:02d}", spoken_time=spoken_time(h, m), spoken_date=f"{weekday}, the {w.ordinal(d)} of {w.MONTHS[month - 1]}")
    reply = {"time": f"It is {result['spoken_time']}.", "date": f"Today is {result['spoken_date']}.", "year": f"It is the year {year}."}[kind]
    _tool(t, kind, t.spoken(q), "now", {}, result, reply)
    return True


def spoken_time(h, m):
    """As the server's clock tool says it: fourteen minutes to four in the afternoon."""
    part = "in the morning" if 5 <= h < 12 else "in the afternoon" if 12 <= h < 18 else "in the evening" if 18 <= h < 22 else "at night"
    hour, after = w.spell(h % 12 or 12), w.spell((h + 1) % 12 or 12)
    minutes = lambda k: w.spell(k) + ("" if k % 5 == 0 else " minute" if k == 1 else " minutes")
    said = f"{hour} o'clock" if m == 0 else f"quarter past {hour}" if m == 15 else f"half past {hour}" if m == 30 else f"quarter to {after}" if m == 45 \
        else f"{minutes(m)} past {hour}" if m < 30 else f"{minutes(60 - m)} to {after}"
    return f"{said} {part}"




def turn_sum(t):
    rng = t.rng
    digits = rng.random() < 0.2
    num = lambda k: str(k) if digits else w.spell(k)
    big = rng.choice((10, 20, 100, 100, 1000))
    op = rng.choice(("plus", "plus", "minus", "times", "divided by"))
    x, y = rng.randint(0 if big < 20 else 1, big), rng.randint(1, big)
    if op in ("times", "divided by"):
        x, y = rng.randint(1, min(big, 100)), rng.randint(1, 12)
    if op == "divided by" and rng.random() < 0.7:
        x *= y
    value = x + y if op == "plus" else x - y if op == "minus" else x * y if op == "times" else x / y
    said = {"times": rng.choice(("times", "times", "multiplied by")), "minus": rng.choice(("minus", "minus", "minus", "take away")), "divided by": rng.choice(("divided by", "divided by", "over"))}.get(op, op)
    heard, expression = f"{num(x)} {said} {num(y)}", f"{num(x)} {op} {num(y)}"
    if rng.random() < 0.12 and op in ("plus", "minus"):
        z = rng.randint(1, big)
        heard, expression, value = heard + f" plus {num(z)}", expression + f" plus {num(z)}", value + z
    if value == int(value):
        result = dict(result=str(int(value)), spoken=w.spell(int(value)))
    else:
        v = f"{value:.2f}".rstrip("0")
        result = dict(result=v, spoken=f"{w.spell(int(value))} point " + " ".join(w.ONES[int(c)] for c in v.split(".")[1]))
    if rng.random() < 0.03:
        result = dict(error=rng.choice(("division by zero", "not a sum", "number too large", "cannot read the expression")))
    q = expand(TALK["sums"], rng, t.held)[0].replace("{s}", heard)
    if rng.random() < 0.15:
        q = f"{rng.choice(HAILS)} {q}"
    user = typed(rng, q) if digits or rng.random() < 0.15 else plain(q)
    if heard not in user.lower():
        user = q
    reply = "I am sorry, that did not work." if "error" in result else f"{w.cap(expression)} is {result['spoken']}."
    _tool(t, "sum", user, "calculate", dict(expression=expression), result, reply)
    return True


def _tool(t, kind, user, name, arguments, result, reply):
    call = json.dumps(dict(name=name, arguments=arguments))
    if name == "now" and t.rng.random() < 0.02:
        result, reply = dict(error="no clock"), "I am sorry, that did not work."
    t.add(kind, user, reply, call=call, result=json.dumps(result))


def turn_inverse(t):
    """A question by the answer: who Maria is, what is on the second floor."""
    rng = t.rng
    pool = []
    for o in t.facts:
        for k in "vo":
            value = o.slots.get(k, "")
            if not value or sum(value in x.own for x in t.facts) != 1 or any(value in s for s in t.extra):
                continue
            if value[0].isupper() and o.key in ("runs", "boss", "called", "contact", "maker", "teaches") or value[0].isupper() and o.key.startswith("who_"):
                pool.append((o, value, free.BY_PERSON))
            elif o.key in ("where", "there_is", "venue", "there_are") and k == "v" and value in o.own and not value.startswith(("at ", "five", "out")):
                pool.append((o, value, free.BY_PLACE))
    if not pool:
        return False
    fact, value, templates = rng.choice(pool)
    core, indirect = expand(templates, rng, t.held)
    q = (rng.choice(OPENERS) + " " if indirect else "") + core.replace("{v}", value)
    t.add("inverse", t.spoken(q), fact.text, entity=fact.entity)
    t.said.append((fact.entity, fact.text))
    t.last = None
    return True


def turn_double(t):
    """Two questions in one turn: both facts, in the order of the questions."""
    rng = t.rng
    pool = [o for o in t.facts if o.key not in ("dayhours", "dayhours_us") and o.intents[0] != "about"]
    if len(pool) < 2:
        return False
    a, b = rng.sample(pool, 2)
    if a.entity != b.entity and rng.random() < 0.3:
        same = [o for o in pool if o is not a and (o.entity == a.entity or o.intents[0] == a.intents[0])]
        b = rng.choice(same) if same else b
    ia, ib = rng.choice(a.intents), rng.choice(b.intents)
    parts = []
    for fact, intent, first in ((a, ia, True), (b, ib, False)):
        for _ in range(10):
            core, indirect = expand(f.Q[intent], rng, t.held)
            if not indirect and "{x}" not in core and not core.startswith(("{e}", "i ", "looking", "(")):
                break
        else:
            return False
        it = not first and b.entity == a.entity and a.kind == "thing" and core.count("{e}") == 1
        parts.append(core.replace("{e}", "it" if it else surface(rng, fact.entity, [o.entity for o in t.facts], t.split)))
    if parts[0].startswith(YES_NO) or parts[1].startswith(YES_NO):
        return False
    found = [o for fact, intent in ((a, ia), (b, ib)) for o in t.answers(intent, fact.entity)[:1]]
    text = " ".join(dict.fromkeys(o.text for o in found))
    t.add("double", t.spoken(f"{parts[0]} and {parts[1]}"), text)
    t.said += [(a.entity, a.text)] if a.entity != b.entity else []
    t.last = None
    return True


KINDS = dict(fact=60, inverse=4, double=3, follow=12, unknown=13, outside=7, garbled=1.5, social=4, greet=1.5, who=1.5, place=1.2, name=4, repeat=2.5, said=2.5, asked=2, all=0.6, clock=2, sum=3.5)

MAKERS = dict(fact=turn_fact, inverse=turn_inverse, double=turn_double, follow=turn_follow, unknown=turn_unknown, outside=turn_outside, garbled=turn_garbled, social=turn_social, greet=turn_greet, who=turn_who,
              place=turn_place, name=turn_name, repeat=turn_repeat, said=turn_said, asked=turn_asked, all=turn_all, clock=turn_clock, sum=turn_sum)


def make(rng, split=w.TRAIN, n_facts=None, n_turns=6, noise=0.3, kinds=None, families=None):
    """A conversation of `n_turns` turns over a prompt of `n_facts` facts.

    `noise`: chance that a spoken turn is misheard; `kinds`: weights of turn kinds (default `KINDS`);
    `families`: ask only about facts of these families.
    """
    held = split == w.PHRASING
    inner = w.VALUES if held else split
    first, me, iam, place, extra, fallback, named = persona(rng, inner)
    count = rng.randint(4, 12) if n_facts is None else n_facts
    if families:
        facts = []
        for _ in range(200):
            if len(facts) >= count:
                break
            fact = f.make(rng.choice(families) if rng.random() < 0.6 else rng.choice(list(f.FAMILIES)), place)
            if all(fact.entity != o.entity and (fact.entity == f.US or _head(fact.entity) != _head(o.entity)) for o in facts):
                facts.append(fact)
    else:
        facts = choose_facts(rng, place, count)
        facts = combine(rng, facts, inner)
    sentences = list(dict.fromkeys(x.text for x in facts))
    for e in extra:
        sentences.insert(rng.choice((0, len(sentences), rng.randint(0, len(sentences)))), e)
    t = Talk(rng, inner, facts, place, noise, held)
    t.sentences, t.extra, t.me, t.iam, t.fallback, t.named = sentences, extra, me, iam, fallback, named
    t.unknown = f"I do not know that. Please ask {fallback}." if fallback else NO_FACT
    t.outside = t.unknown if fallback else NO_MODEL
    t.hello = f"Hello, and welcome to {place.name}. How can I help you?" if named else f"Hello, I am {me}. How can I help you?"
    if families:
        t.facts = [x for x in facts if x.key in families] or facts
    kinds = kinds or KINDS
    tries = 0
    while len(t.turns) < n_turns and tries < 15 * n_turns:
        tries += 1
        MAKERS[rng.choices(list(kinds), list(kinds.values()))[0]](t)
    return dict(system=system_prompt(first, sentences), turns=t.turns, facts=facts)
