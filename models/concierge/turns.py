"""The kinds of turns of a conversation.  Each `turn_*` adds one to a `Talk`, or returns False where it does not fit."""
import json

import facts as f
import outside
import words as w
from grammar import expand
from noise import plain, speech_noise, typed
from prompts import head
from talk import HAILS, OPENERS, SOCIAL, TALK, YES_NO, confirmed, surface

UNCLEAR = "Sorry, I did not understand that. Could you say it again?"
NO_FACT = "I am sorry, I do not know that."
NO_MODEL = "I do not know that. A larger model that does can be connected in the settings."

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
    own = [o for o in t.facts if o.entity.lower() == entity.lower() and set(o.intents) - {intent}]
    others = sorted({i for o in own for i in o.intents} - {intent, "about"})
    if entity == f.US:
        others = [i for i in others if i in f.related(intent)] or others
        if not others:
            return False
        other = rng.choice(others)
        _ask(t, other, entity, "follow", TALK["bare"].get(other) if rng.random() < 0.5 and other in f.related(intent) else None)
        return True
    if own and rng.random() < 0.85:
        if not others:
            return False
        other = rng.choice(others)
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
    bare = other in TALK["bare"] and rng.random() < 0.45
    core, indirect = expand(TALK["bare"][other] if bare else f.Q[other], rng, t.held)
    if not bare and core.count("{e}") != 1 or not bare and kind == "person" and not any(s in core for s in ("is {e}", "does {e}")):
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
        known = [i for o in t.facts if o.entity.lower() == entity.lower() or entity != f.US and (head(o.entity) == head(entity) or entity.lower() in o.text.lower()) for i in o.intents]
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
        if entity != f.US and intent in ("open", "close", "hours") and head(entity) == t.place.kind:
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
        if entity == f.US or any(k != entity and head(k) == head(entity) for k, _ in t.said):
            return False
        reply = [r for e, r in t.said if e == entity][-1]
        if reply.startswith("I said: "):
            return False
        reply = "I said: " + reply
    else:
        pool = [o.entity for o in t.facts if o.entity != f.US and o.entity not in [e for e, _ in t.said] and not any(head(e) == head(o.entity) for e, _ in t.said)]
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
                pool.append((o, value, TALK["by_person"]))
            elif o.key in ("where", "there_is", "venue", "there_are") and k == "v" and value in o.own and not value.startswith(("at ", "five", "out")):
                pool.append((o, value, TALK["by_place"]))
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


KINDS = dict(fact=60, inverse=4, double=2, follow=12, unknown=13, outside=7, garbled=1.5, social=7, greet=3, who=2.5, place=1.5,
             name=7, repeat=2.5, said=2.5, asked=2, all=0.6, clock=3, sum=3.5)

MAKERS = dict(fact=turn_fact, inverse=turn_inverse, double=turn_double, follow=turn_follow, unknown=turn_unknown, outside=turn_outside, garbled=turn_garbled, social=turn_social, greet=turn_greet, who=turn_who,
              place=turn_place, name=turn_name, repeat=turn_repeat, said=turn_said, asked=turn_asked, all=turn_all, clock=turn_clock, sum=turn_sum)
