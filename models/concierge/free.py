"""Facts of looser forms: what one can and must do, who does what, "the X of Y is Z", and sentences joined into one.

Users write such facts freely; these families teach the model to answer from a sentence whose form it has
never seen, by the words that question and sentence share.
"""
import nouns as n
import words as w
from facts import EVENT, GROUPS, LOC, PLACE, ROLE, SPACE, US, WHO, D, Q, T, family

_TALK = w.read("talk.yml")
ACTIONS, DUTIES, SESSIONS, ANIMALS, COURSES = (n.ALL[k] for k in ("actions", "duties", "sessions", "animals", "courses"))
WHO_MUST = ["visitors", "guests", "all visitors", "you", "you", "everyone", "swimmers", "patients", "students", "members", "children under {a}", "readers", "parents", "drivers", "employees"]
ATTRIBUTES = {"code": "digits", "pin": "digits", "door code": "digits", "number": "digits", "room number": "digits", "booking number": "digits", "colour": "colour", "title": "name", "motto": "words", "topic": "topic", "theme": "topic", "subject": "topic", "password": "words", "dress code": "dress", "emergency number": "digits", "fax number": "digits", "deadline": "date", "meeting point": "place", "name": "name", "nickname": "name", "price": "price", "speed limit": "amount", "maximum stay": "time", "minimum stay": "time", "rent": "price", "deposit": "price", "fine": "price",
              "fee": "price", "weight": "amount", "age": "amount", "size": "amount", "height": "amount", "next stop": "place", "birthday": "date", "opening day": "date", "last day": "date", "first day": "date", "material": "material", "favourite food": "food", "favourite colour": "colour", "hashtag": "words", "website": "site", "secret word": "words", "score": "amount", "currency": "money", "flavour": "food", "brand": "name", "key": "words", "frequency": "amount", "gate": "digits", "platform": "digits", "seat": "digits", "bus line": "digits", "team": "name", "winner": "person", "author": "person", "owner": "person", "sponsor": "person", "guest of honour": "person", "speaker": "person", "artist": "person", "teacher": "person", "doctor on duty": "person", "contact": "person"}


def attribute_value(p, kind):
    r = p.rng
    return {"digits": lambda: w.phone(r) if r.random() < 0.3 else r.choice((str(r.randint(1, 99)), str(r.randint(100, 9999)), w.spell(r.randint(1, 99)))), "colour": lambda: r.choice(("red", "blue", "green", "yellow", "white", "black", "orange", "purple", "dark green", "light blue")),
            "name": lambda: r.choice((w.invented(r, p.split).capitalize(), f"the {r.choice(n.MODIFIERS)} {r.choice(n.SIMPLE)}", f"{r.choice(n.SIMPLE).capitalize()} {w.invented(r, p.split).capitalize()}")), "words": lambda: n.password(r, p.split), "topic": lambda: r.choice(("the sea", "love and war", "life in space", "old ships", "winter birds", "the moon", "women in art", "robots", "the city in the rain", f"the {r.choice(n.MODIFIERS)} {r.choice(n.SIMPLE)}")),
            "dress": lambda: r.choice(("casual", "black tie", "business casual", "smart", "formal", "comfortable shoes", "no shorts")), "date": lambda: r.choice((w.date(r), w.day(r))), "place": lambda: n.place(r, p.split), "price": lambda: w.price(r), "amount": lambda: f"{w.number(r, r.randint(2, 120))} {r.choice(('metres', 'kilos', 'years', 'degrees', 'points', 'people', 'kilometres an hour', 'litres'))}",
            "time": lambda: w.duration(r), "material": lambda: r.choice(("oak", "steel", "glass", "marble", "bronze", "paper", "silk", "wool", "clay", "gold")), "food": lambda: n.dish(r), "site": lambda: f"{w.invented(r, p.split)} dot {r.choice(('com', 'org', 'net'))}", "money": lambda: r.choice(("the euro", "the pound", "crowns", "francs")), "person": lambda: w.person(r, p.split)}[kind]()


QUANTITY_VERBS = ["borrow", "take", "bring", "book", "rent", "print", "order", "carry", "invite", "try"]
QUANTITY_NOUNS = n.ALL["quantity_nouns"]

ACTION = lambda p: n.noun(p.rng, ACTIONS, p.split)
family("can_do", ACTION, ["you can {e} {v}", "you may {e} {v}", "guests can {e} {v}", "visitors can {e} {v}", "to {e}, please go to {s}", "you can {e} {v}", "{s} is where you can {e}", "you can {e} at {s} until {t}"], ["can_do"], "action", v=LOC, s=SPACE, t=T, weight=2.4)
family("may_not", ACTION, ["you may not {e}", "you can not {e} here", "please do not {e} {v}", "it is not allowed to {e}", "nobody may {e} {v}"], ["can_do"], "action", v=LOC, weight=0.6)
family("must", lambda p: n.noun(p.rng, DUTIES, p.split), ["{W} must {e}", "{W} have to {e}", "please {e}", "{W} need to {e}", "{W} should {e}"], ["must"], "action",
       W=lambda p: p.rng.choice(WHO_MUST).format(a=w.number(p.rng, p.rng.randint(3, 16))), weight=1.6)
family("need_not", lambda p: n.noun(p.rng, DUTIES, p.split), ["you do not have to {e}", "you do not need to {e}", "nobody has to {e}"], ["must"], "action", weight=0.4)
family("quantity", lambda p: p.rng.choice(QUANTITY_NOUNS), ["you can {x} up to {v} {e}", "you may {x} {v} {e}", "{W} can {x} up to {v} {e}", "you can {x} up to {v} {e} at a time"], ["quantity"], "plural", x=lambda p: p.rng.choice(QUANTITY_VERBS), v=lambda p: w.number(p.rng, p.rng.randint(2, 30)), W=lambda p: p.rng.choice(("members", "guests", "children", "students", "readers")), weight=0.6)
family("quantity_time", lambda p: p.rng.choice(QUANTITY_NOUNS), ["you can borrow up to {v} {e} for {d}", "you can keep {e} for {d}", "you may {x} {e} for {d}", "you can {x} {v} {e} for {d}"], ["quantity_time", "quantity"], "plural", x=lambda p: p.rng.choice(QUANTITY_VERBS), v=lambda p: w.number(p.rng, p.rng.randint(2, 30)), d=lambda p: p.rng.choice((f"{w.number(p.rng, p.rng.randint(2, 9))} weeks", "one week", "a month", "two days", "one day", "three hours", f"{w.number(p.rng, p.rng.randint(2, 30))} days")), weight=0.6)


def _attribute(p):
    a = p.rng.choice(w.side(list(ATTRIBUTES), p.split == w.NOUNS))
    p.attribute = a
    return f"the {a}" if p.rng.random() < 0.45 else f"the {a} of {(n.thing if p.rng.random() < 0.6 else n.event)(p.rng, p.split)}" if p.rng.random() < 0.6 else f"the {a} for {n.place(p.rng, p.split)}"


family("what_is", _attribute, ["{e} is {v}"], ["what_is"], v=lambda p: attribute_value(p, ATTRIBUTES[p.attribute]), weight=2.6)
family("sessions", lambda p: n.noun(p.rng, SESSIONS, p.split), ["{e} are from {v} to {u}", "{e} are on {d} at {v}", "{e} are {k}", "{e} take place on {d}", "{e} start at {v}", "{e} are done from {v} to {u}", "{e} are every {y} at {v}", "{e} are at {v} and {u}", "{e} are held {l}"], ["sessions"], "plural", v=T, u=T, d=D, l=LOC, y=lambda p: w.day(p.rng), k=lambda p: w.day_span(p.rng), weight=1.4)
family("teaches", lambda p: n.noun(p.rng, SESSIONS[10:], p.split), ["{e} are on {d} at {v} with {o}", "{e} are with {o}", "{e} are given by {o}", "{e} are on {d} with {o}"], ["sessions", "teaches"], "plural", d=D, v=T, o=WHO, weight=0.5)

# Who does what: (base, third person, past or None, objects).
VERBS = [("teach", "teaches", None, lambda p: p.rng.choice(COURSES)), ("feed", "feeds", None, lambda p: "the " + p.rng.choice(ANIMALS)), ("clean", "cleans", None, SPACE), ("repair", "repairs", "repaired", PLACE), ("lead", "leads", "led", EVENT),
         ("guard", "guards", None, SPACE), ("play", "plays", "played", lambda p: "the " + p.rng.choice("piano organ violin flute drums harp guitar trumpet cello".split())), ("cook", "cooks", "cooked", lambda p: p.rng.choice(("breakfast", "lunch", "dinner", "the soup", "the staff meal"))), ("organise", "organises", "organised", EVENT), ("drive", "drives", None, lambda p: "the " + p.rng.choice("bus shuttle train ambulance van tractor boat taxi".split())),
         ("own", "owns", "owned", PLACE), ("found", "founds", "founded", SPACE), ("paint", "paints", "painted", PLACE), ("discover", "discovers", "discovered", PLACE), ("donate", "donates", "donated", PLACE), ("build", "builds", "built", PLACE), ("restore", "restores", "restored", PLACE), ("write", "writes", "wrote", lambda p: "the " + p.rng.choice(("guide book", "opera", "song", "play", "newsletter", "book about the city", "poem", "catalogue"))),
         ("open", "opens", "opened", SPACE), ("lock", "locks", None, SPACE), ("water", "waters", None, lambda p: "the " + p.rng.choice("plants flowers roses orchids lawn trees".split())), ("sell", "sells", None, lambda p: "the " + p.rng.choice("tickets postcards programmes souvenirs flowers badges".split())), ("check", "checks", None, lambda p: "the " + p.rng.choice("tickets passports bags lifts alarms papers".split())), ("answer", "answers", None, lambda p: "the " + p.rng.choice(("phone", "emails", "letters", "door")))]
for base, third, past, objects in VERBS:
    verb = past or third
    texts = ["{v} " + verb + " {e}"] + (["{v} " + verb + " {e} in {y}", "{e} was " + {"wrote": "written"}.get(past, past) + " by {v}"] if past else ["{v} " + third + " {e} on {d}", "{v} " + third + " {e} every day"])
    family(f"who_{base}", objects, texts, [f"who_{base}"], v=lambda p: p.rng.choice((WHO, WHO, ROLE))(p), y=lambda p: w.year(p.rng), d=D, weight=0.14)
    Q[f"who_{base}"] = [f"who {verb} {{e}}", f"~who {verb} {{e}}", f"who is it that {verb} {{e}}", f"#which person {verb} {{e}}"] + ([f"who has {past if past not in ('wrote',) else 'written'} {{e}}", "by whom was {e} made"] if past else [f"who (will|can|does) {base} {{e}}", f"who is the one that {third} {{e}}"])

GROUPS += [{"can_do", "must"}, {"quantity", "quantity_time", "can_do", "count", "buy", "where_pl"}, {"sessions", "teaches", "when", "venue", "where_pl", "about"}, {"what_is", "about", "called", "where", "price", "phone", "exists", "deep", "built", "maker", "password", "boss", "email"},
           {"who_runs", "who_guard", "who_clean", "who_own", "who_lead", "boss", "who_lock", "who_found", "maker", "who_open", "who_build", "who_paint", "who_organise", "who_repair", "who_restore", "who_discover", "who_donate", "who_play", "who_write", "teaches", "who_teach"}, {"allowed", "can_do"}, {"bring", "must"}, {"book", "can_do"}]

# Questions about a person by name, answered by whatever fact names the person.
BY_PERSON = _TALK["by_person"]
BY_PLACE = _TALK["by_place"]


# ---------------------------------------------------------------------------------- sentences joined
EXTRAS = [", but not on {d}", " and it is very popular", " with a view of the {m}", ", next to the old {m}", ", except on holidays", ", please be quiet there", ", and everybody is welcome", ", but only in summer", ", so please be on time", " and serves {m} cake all day", ", which visitors love", ", as long as there is space", ", but not in the {m} room",
          ", ask {n} for details", ", so bring a jacket", ", and it is worth it", " for all guests", ", like every year", ", rain or shine", " and is open to all"]


def embellish(rng, fact, split):
    """Adds a clause that answers nothing by itself."""
    extra = rng.choice(EXTRAS).format(d=w.days(rng), m=rng.choice(n.MODIFIERS[:140]), n=w.first_name(rng, split))
    fact.text = fact.text[:-1] + extra + "."


def stripped(fact):
    """The sentence without its subject, if the subject is the entity: "closes at nine"."""
    head = w.cap(fact.entity) + " "
    return fact.text[len(head):-1] if fact.text.startswith(head) and fact.entity != US else None


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
    if not it or a.entity != b.entity or b.entity not in b.text and w.cap(b.entity) not in b.text:
        return False
    if n.is_plural(b.entity) and it == "it":
        return False
    if b.text.startswith(w.cap(b.entity) + " "):
        b.text = w.cap(it) + b.text[len(b.entity):]
    elif b.kind == "thing":
        b.text = b.text.replace(b.entity, it, 1)
    else:
        return False
    return True
