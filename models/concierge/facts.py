"""What can stand in a prompt and be asked: fact families, and the questions that they answer.

A fact is a sentence about an *entity* ("the café", or `US`, the place itself).  It answers one or more
*intents* about that entity; a question is an intent, an entity and, for some, a value to be confirmed.
The answer to a question is therefore computed, not written: the facts of the prompt that answer this
intent for this entity, behind "Yes," or "No," where that was the question, or else a refusal.
"""
from dataclasses import dataclass, field

import nouns as n
import words as w

US = "us"                                # the entity of facts about the place itself

# ------------------------------------------------------------------------------------------ questions
Q = w.read("questions.yml")               # intent: wordings

# Questions that one wording cannot tell apart: nothing of such a group may be asked as "unknown"
# about an entity of which the prompt answers another of the group.
GROUPS = [{"open", "close", "hours", "onday", "closedday", "when", "about"}, {"open_us", "close_us", "hours_us", "onday_us", "closedday_us", "checkin", "checkout"},
          {"where", "exists", "isat", "venue", "stops", "person_at", "buy", "contact", "about", "goes"}, {"price", "free", "about"}, {"who_runs", "boss", "does", "called", "contact", "maker", "about"},
          {"entry", "pay"}, {"about", "temp", "deep"}, {"seats", "about", "deep", "count"}, {"phone", "contact"}, {"runs_every", "when", "stops"}, {"built", "about", "from", "maker"}, {"lasts", "about"}, {"allowed", "about"},
          {"langs", "about"}, {"bring", "about"}, {"sells", "about", "does"}, {"person_when", "person_at", "when"}, {"password", "network"}, {"age", "wheelchair"}, {"address", "where"},
          {"does", "person_at", "person_when", "called", "about"}]


def related(intent):
    return set().union({intent}, *(g for g in GROUPS if intent in g))


@dataclass
class Fact:
    key: str                             # the family
    entity: str                          # "the café", "dogs", US
    text: str                            # the sentence
    intents: tuple                       # what it answers
    slots: dict = field(default_factory=dict)
    kind: str = "thing"                  # thing, person, plural, action, us: what a pronoun for it is
    own: str = ""                        # the sentence before another fact was joined to it

    def __post_init__(self):
        self.own = self.text


@dataclass
class Place:
    """Whom and what a prompt is about; made by `dialogue`."""
    rng: object
    split: str
    name: str                            # "the Brunswater Museum"
    kind: str                            # "museum"
    attribute: str = ""                  # of the fact in the making, for `free`


FAMILIES = {}


def family(key, entity, texts, intents, kind="thing", weight=1.0, **slots):
    FAMILIES[key] = dict(entity=entity, texts=texts, intents=tuple(intents), kind=kind, weight=weight, slots=slots)


T = lambda p: w.clock_time(p.rng)
P = lambda p: w.price(p.rng)
D = lambda p: w.days(p.rng)
LOC = lambda p: n.location(p.rng, p.split)
WHO = lambda p: w.person(p.rng, p.split)
_of = lambda f: lambda p: f(p.rng, p.split)
SPACE, THING, EVENT, PLACE, ROLE = _of(n.space), _of(n.thing), _of(n.event), _of(n.place), _of(n.role)
ANY = lambda p: p.rng.choice((n.space, n.thing, n.event))(p.rng, p.split)
TOPIC = lambda p: n.noun(p.rng, n.TOPICS, p.split)
PLURAL = lambda p: n.noun(p.rng, n.GOODS_PLURAL, p.split)
_pick = lambda *pool: lambda p: p.rng.choice(pool)

family("open", SPACE, ["{e} opens at {v}", "{e} opens every day at {v}", "{e} is open from {v}", "{e} opens daily at {v}", "{e} opens its doors at {v}"], ["open", "hours"], v=T, weight=2)
family("close", SPACE, ["{e} closes at {v}", "{e} shuts at {v}", "{e} is open until {v}", "{e} closes every evening at {v}"], ["close", "hours"], v=T, weight=1.6)
family("hours", SPACE, ["{e} is open from {v} to {u}", "{e} is open between {v} and {u}", "{e} is open daily from {v} to {u}", "{e} is open {d} from {v} to {u}", "{e} opens at {v} and closes at {u}", "{e} is open from {v} until {u}"],
       ["open", "close", "hours"], v=T, u=T, d=lambda p: p.rng.choice((w.day_span(p.rng), "every day", "on " + w.days(p.rng))), weight=2.2)
family("closedday", SPACE, ["{e} is closed on {d}", "{e} does not open on {d}", "{e} stays closed on {d}", "{e} is open every day except {d}", "on {d} {e} is closed"], ["closedday", "onday"], d=D, weight=1.4)
family("dayspan", SPACE, ["{e} is open {d}", "{e} is only open {d}"], ["closedday", "onday", "hours"], d=lambda p: p.rng.choice((w.day_span(p.rng), "on " + w.days(p.rng), "on weekdays", "every day", "around the clock", "all day")), weight=0.8)
family("dayhours", SPACE, ["on {d} {e} is open from {v} to {u}", "on {d} {e} opens at {v}", "on {d} {e} is open until {v}"], ["onday"], d=D, v=T, u=T, weight=0.8)

family("open_us", US, ["{p} open{s} at {v}", "the doors open at {v}", "{p} open{s} every day at {v}"], ["open_us", "hours_us"], "us", v=T, weight=0.8)
family("close_us", US, ["{p} close{s} at {v}", "the doors close at {v}", "{p} {are} open until {v}"], ["close_us", "hours_us"], "us", v=T, weight=0.8)
family("hours_us", US, ["{p} {are} open from {v} to {u}", "{p} {are} open daily from {v} to {u}", "{p} {are} open {d} from {v} to {u}", "{p} {are} open between {v} and {u}", "{p} open{s} at {v} and close{s} at {u}", "our opening hours are {v} to {u}", "opening hours: {v} to {u}", "opening hours are from {v} to {u}"],
       ["open_us", "close_us", "hours_us"], "us", v=T, u=T, d=lambda p: p.rng.choice((w.day_span(p.rng), "every day", "on " + w.days(p.rng))), weight=1.6)
family("closed_us", US, ["{p} {are} closed on {d}", "{p} {are} open every day except {d}", "on {d} {p} {are} closed"], ["closedday_us", "onday_us"], "us", d=D, weight=1)
family("dayhours_us", US, ["on {d} {p} {are} open from {v} to {u}", "on {d} {p} open{s} at {v}", "on {d} {p} {are} open until {v}", "on {d} {p} close{s} at {v}"], ["onday_us"], "us", d=D, v=T, u=T, weight=0.8)

family("where", PLACE, ["{e} is {v}", "{e} is {v}", "you will find {e} {v}", "{e} is located {v}", "you find {e} {v}", "{e} can be found {v}", "to get to {e}, go {r}", "for {e} go {r}"],
       ["where", "exists"], v=LOC, r=_pick("straight on and turn left", "down the stairs", "up the stairs and turn right", "through the glass door", "past the cloakroom", "left and then right", "to the end of the corridor", "out of the door and turn right"), weight=6)
family("there_is", lambda p: n.place(p.rng, p.split), ["there is {a} {v}", "there is {a} {v}", "we have {a} {v}"], ["where", "exists"], v=LOC, weight=1.8)
family("there_are", PLURAL, ["there are {e} {v}", "{e} are {v}", "you will find {e} {v}", "{e} are available {v}", "you can get {e} {v}"], ["where_pl", "buy"], "plural", v=LOC, weight=0.8)

family("showtime", EVENT, ["{e} starts at {v}", "{e} begins at {v}", "{e} is at {v}", "{e} starts every day at {v}", "{e} is on {d} at {v}", "{e} takes place on {d} at {v}", "{e} is on {d}", "{e} takes place every {k}", "{e} starts on {o}"], ["when"], v=T, d=D, k=lambda p: w.day(p.rng), o=lambda p: w.date(p.rng), weight=2.5)
family("showboth", EVENT, ["{e} starts at {v} {l}", "{e} begins at {v} {l}", "{e} is at {v} {l}", "{e} takes place {l} at {v}", "{e} is on {d} {l}"], ["when", "venue"], v=T, l=LOC, d=D, weight=2)
family("venue", EVENT, ["{e} takes place {v}", "{e} is held {v}", "{e} is {v}", "{e} starts {v}", "{e} meets {v}"], ["venue", "exists"], v=LOC, weight=1.2)
family("meal", _pick("breakfast", "lunch", "dinner", "tea", "brunch", "supper"), ["{e} is served from {v} to {u}", "{e} is from {v} to {u}", "{e} is served from {v} to {u} {l}", "{e} is served {l} from {v} to {u}", "{e} is at {v}"], ["when", "open", "close", "hours"], v=T, u=T, l=LOC, weight=0.8)
family("ticket", _of(n.ticket), ["{e} costs {v}", "{e} is {v}", "the price of {e} is {v}", "{e} costs {v} for {g}"], ["price"], v=P, g=_pick("one person", "a day", "two people", "everyone", "visitors from the city"), weight=1.8)
family("item", _of(n.goods), ["{e} costs {v}", "{e} is {v}", "{e} is only {v}", "the price of {e} is {v}", "you pay {v} for {e}", "{e} costs {v} per {h}", "you can rent {e} for {v}", "{e} is free"], ["price"], v=P, h=_pick("hour", "day", "night", "person", "week", "piece"), weight=2.2)
family("free", _of(lambda r, s: n.noun(r, n.AMENITIES, s)), ["{e} is free", "{e} is free of charge", "{e} is included", "{e} is included in the price", "{e} is free for {g}", "{e} costs {v} extra", "{e} is not included", "{e} is free on {d}", "{e} costs {v}"], ["free"], v=P, d=D, g=_pick("guests", "children", "members", "students", "everyone"), weight=1)
family("entry", US, ["entry is {v}", "admission is {v}", "getting in costs {v}", "admission is free", "entry is free on {d}", "entry costs {v} for adults and {u} for children", "admission is {v}, and children pay {u}", "the entrance fee is {v}", "admission: {v}", "tickets cost {v}", "a ticket costs {v}"], ["entry"], "us", v=P, u=P, d=D, weight=1)
family("runs", SPACE, ["{v} runs {e}", "{e} is run by {v}", "{v} is in charge of {e}", "the manager of {e} is {v}", "{v} manages {e}", "the head of {e} is {v}", "{v} works in {e}", "{v} is responsible for {e}"], ["who_runs"], v=WHO, weight=1.2)
family("boss", US, ["the director is {v}", "our director is {v}", "the boss here is {v}", "the director of {P} is {v}", "{v} is the director", "{v} is the owner", "our manager is {v}", "{v} owns the {k}"], ["boss"], "us", v=WHO, weight=0.7)
family("rule", _of(n.allowed), ["{e} are {v}", "{e} are {v}", "you may not bring {e}", "please do not bring {e}", "you may bring {e}", "no {e} are allowed", "{e} must stay {m}", "{e} are allowed {m}", "{e} are only allowed {m}", "{e} are not allowed {m}"],
       ["allowed"], "plural", v=_pick("not allowed", "allowed", "forbidden", "welcome", "only allowed outside", "allowed on a leash", "permitted", "not permitted", "prohibited", "fine"),
       m=lambda p: p.rng.choice(("outside", "at home", "in " + n.space(p.rng, p.split), "after " + w.clock_time(p.rng), "on " + w.days(p.rng), "without flash", "in the lockers")), weight=2.2)
family("wifi", US, ["the wifi password is {v}", "the password for the wifi is {v}", "the internet password is {v}", "the password of the wifi is {v}", "the guest wifi has the password {v}", "the wifi is free and the password is {v}", "wifi password: {v}", "wifi: {v}"], ["password"], "us", v=_of(n.password), weight=1.2)
family("network", US, ["the wifi is called {v}", "the name of the wifi is {v}", "our network is called {v}"], ["network"], "us", v=_of(n.password), weight=0.3)
family("phone", lambda p: p.rng.choice((n.space(p.rng, p.split), n.role(p.rng, p.split), "security", "the emergency line", "room service", "the doctor", "the police")), ["the phone number of {e} is {v}", "the number of {e} is {v}", "you can reach {e} at {v}", "to call {e}, dial {v}", "to reach {e}, call {v}", "the extension of {e} is {v}", "for {e} dial {v}"], ["phone"], v=lambda p: w.phone(p.rng), weight=1)
family("built", PLACE, ["{e} was built in {v}", "{e} was founded in {v}", "{e} dates from {v}", "{e} is from {v}", "{e} was opened in {v}", "{e} is {y} years old"], ["built"], v=lambda p: w.year(p.rng), y=lambda p: w.number(p.rng, p.rng.randint(2, 900)), weight=1)
family("maker", PLACE, ["{e} was made by {v}", "{e} was designed by {v}", "{e} is a work by {v}", "{v} made {e}", "{e} was painted by {v}", "{e} was built by {v}", "{v} designed {e}"], ["maker"], v=WHO, weight=0.9)
family("called", ROLE, ["{e} is called {v}", "the name of {e} is {v}", "{e} is {v}", "{v} is {e}", "our {b} is called {v}", "{e} here is {v}"], ["called"], v=WHO, weight=2)
family("person_job", WHO, ["{e} is {v}", "{e} works as {z}", "{e} takes care of {t}", "{e} is responsible for {t}", "{e} handles {t}", "{e} is our {b}"], ["does"], "person", v=ROLE, z=lambda p: w.article(n.noun(p.rng, n.ROLES, p.split)), b=lambda p: n.noun(p.rng, n.ROLES, p.split), t=TOPIC, weight=1)
family("person_at", WHO, ["{e} is {v}", "{e} sits {v}", "{e} works {v}", "the office of {e} is {v}", "{e}'s office is {v}", "you will find {e} {v}", "{e} has the office {v}"], ["person_at"], "person", v=LOC, weight=1.8)
family("person_when", WHO, ["{e} is here on {d}", "{e} is in from {v} to {u}", "{e} sees patients on {d}", "{e} works {k}", "{e} is on holiday until {o}", "{e} is here on {d} from {v} to {u}", "{e} starts at {v}"], ["person_when"], "person", v=T, u=T, d=D, k=lambda p: w.day_span(p.rng), o=lambda p: w.date(p.rng), weight=1)
family("special", US, ["the dish of the day is {v}", "today's special is {v}", "for lunch there is {v}", "today we serve {v}", "on the menu today is {v}", "the soup of the day is {i} soup"], ["special"], "us", v=lambda p: n.dish(p.rng), i=_pick(*n.INGREDIENTS), weight=0.7)
family("seats", SPACE, ["{e} holds {v} people", "{e} has room for {v} people", "{e} seats {v} people", "up to {v} people fit into {e}", "{e} has {v} seats", "{e} is for {v} people"], ["seats"], v=lambda p: w.number(p.rng, p.rng.choice((p.rng.randint(4, 60), p.rng.randint(10, 90) * 5))), weight=0.8)
family("lasts", EVENT, ["{e} lasts {v}", "{e} takes {v}", "{e} takes about {v}", "{e} is {v} long"], ["lasts"], v=lambda p: w.duration(p.rng), weight=1.2)
family("contact", TOPIC, ["for {e} ask {v}", "for {e} please see {v}", "{v} takes care of {e}", "for {e}, please ask {v}", "{v} can help you with {e}", "for {e} call {x}", "questions about {e} go to {v}", "for {e} go to {y}", "{v} handles {e}", "{v} is responsible for {e}"], ["contact"],
       v=lambda p: p.rng.choice((w.person(p.rng, p.split), w.person(p.rng, p.split) + " " + n.location(p.rng, p.split), n.role(p.rng, p.split), n.space(p.rng, p.split))), x=lambda p: w.phone(p.rng), y=SPACE, weight=1.6)
family("langs", EVENT, ["{e} is in {v}", "{e} is offered in {v}", "{e} is in {i}", "{e} is given in {v}"], ["langs"], v=lambda p: " and ".join(p.rng.sample(n.LANGUAGES, 2)), i=_pick(*n.LANGUAGES), weight=0.8)
family("age", US, ["children under {v} enter free", "children under {v} must stay with an adult", "the minimum age is {v}", "children under {v} pay nothing", "you have to be at least {v} years old", "children up to {v} are free", "children pay half"], ["age"], "us", v=lambda p: w.number(p.rng, p.rng.randint(2, 18)), weight=0.7)
family("state", ANY, ["{e} is {v}", "{e} is {v}", "{e} is currently {v}", "{e} is {v} until {o}"], ["about"], v=_pick(*n.STATES), o=lambda p: w.date(p.rng), weight=1.5)
family("sells", SPACE, ["{e} sells {v}", "{e} has {v}", "{e} sells {v} and {u}", "{e} offers {v} and {u}"], ["sells"], v=PLURAL, u=PLURAL, weight=1)
family("buy", PLURAL, ["you can buy {e} in {v}", "you can get {e} at {v}", "{e} are sold at {v}", "we sell {e} at {v}", "you can rent {e} at {v}", "{e} can be bought at {v}"], ["buy"], "plural", v=SPACE, weight=1.2)
family("stops", _of(n.transport), ["{e} stops {v}", "{e} stops right {v}", "{e} leaves {v}"], ["stops"], v=LOC, weight=0.7)
family("goes", _of(n.transport), ["{e} goes to {v}", "{e} takes you to {v}"], ["goes"], v=lambda p: p.rng.choice((n.space(p.rng, p.split), w.invented(p.rng, p.split).capitalize(), "the airport", "the city centre", "the station")), weight=0.5)
family("runs_every", lambda p: p.rng.choice((n.transport(p.rng, p.split), "the shuttle", "the ferry", "the airport bus", "the hotel bus")), ["{e} runs every {v}", "{e} leaves every {v}", "{e} leaves at {t}", "{e} goes every {v} from {t}"], ["runs_every"], v=_pick("ten minutes", "fifteen minutes", "20 minutes", "half hour", "hour", "two hours", "five minutes", "30 minutes"), t=T, weight=0.7)
family("checkin", US, ["check-in is from {v}", "check-in starts at {v}", "you can check in from {v}", "rooms are ready from {v}", "check-in: from {v}"], ["checkin"], "us", v=T, weight=0.5)
family("checkout", US, ["check-out is until {v}", "check-out is at {v}", "please check out by {v}", "you have to leave your room by {v}", "check-out: {v}"], ["checkout"], "us", v=T, weight=0.5)
family("checkboth", US, ["check-in is from {v} and check-out is until {u}", "check-in starts at {v}, check-out is at {u}"], ["checkin", "checkout"], "us", v=T, u=T, weight=0.25)
family("address", US, ["the address is {v}", "our address is {v}", "{p} {are} at {v}", "address: {v}"], ["address"], "us", v=lambda p: f"{w.number(p.rng, p.rng.randint(1, 199))} {w.invented(p.rng, p.split).capitalize()} {p.rng.choice(('Street', 'Road', 'Lane', 'Square', 'Avenue'))}", weight=0.5)
family("email", US, ["our email address is {v}", "the email is {v}", "you can write to {v}"], ["email"], "us", v=lambda p: f"{p.rng.choice(('info', 'office', 'hello', 'desk', 'post'))} at {w.invented(p.rng, p.split)} dot {p.rng.choice(('com', 'org', 'eu', 'net'))}", weight=0.4)
family("parking", US, ["you can park {v}", "parking is {v}", "the car park is {v}", "there is parking {v}", "parking is {v} and costs {u}"], ["parking"], "us", v=LOC, u=P, weight=0.6)
family("pay", US, ["you can pay {v}", "we take {v}", "we accept {v}", "we do not take credit cards", "you can only pay in cash", "you can pay by card or in cash"], ["pay"], "us", v=_pick("by card", "cash only", "in cash", "with all cards", "cards and cash", "by phone", "with credit cards", "only by card"), weight=0.5)
family("smoke", US, ["smoking is {v}", "smoking is only allowed {l}", "you can smoke {l}", "please do not smoke inside"], ["smoke"], "us", v=_pick("not allowed", "forbidden", "only allowed outside", "not permitted anywhere"), l=LOC, weight=0.4)
family("book", US, ["you can book at {v}", "you do not need to book", "please book at {v}", "you need to book in advance", "appointments are made at {v}", "please make an appointment by phone", "no appointment is needed", "bookings are made at {v}"], ["book"], "us", v=SPACE, weight=0.6)
family("lost", US, ["lost things are kept at {v}", "lost and found is at {v}", "lost property is kept at {v}", "the lost property is {l}"], ["lost"], "us", v=SPACE, l=LOC, weight=0.5)
family("wheelchair", US, ["the building is wheelchair accessible", "there is a wheelchair ramp {v}", "the entrance for wheelchairs is {v}", "wheelchairs can be borrowed at {s}", "the ground floor is wheelchair accessible"], ["wheelchair"], "us", v=LOC, s=SPACE, weight=0.5)
family("temp", SPACE, ["{e} is {v} degrees warm", "the water in {e} has {v} degrees", "{e} has {v} degrees", "{e} is heated to {v} degrees"], ["temp"], v=lambda p: w.number(p.rng, p.rng.randint(4, 95)), weight=0.5)
family("measure", PLACE, ["{e} is {v} {m}"], ["deep"], v=lambda p: w.number(p.rng, p.rng.randint(2, 120)), m=_pick("metres long", "metres deep", "metres high", "feet tall", "centimetres wide", "tons heavy", "kilos heavy"), weight=0.6)
family("count", lambda p: n.noun(p.rng, ["rooms", "lanes", "floors", "seats", "beds", "tables", "books", "paintings", "pools", "doctors", "parking spaces", "animals", "employees", "lifts", "stairs", "windows", "saunas", "computers", "boats", "students", "slides"], p.split),
       ["there are {v} {e}", "we have {v} {e}", "{P} has {v} {e}", "the {k} has {v} {e}"], ["count"], "plural", v=lambda p: w.number(p.rng, p.rng.choice((p.rng.randint(2, 60), p.rng.randint(2, 900)))), weight=0.6)
family("from", lambda p: p.rng.choice((n.thing, n.role))(p.rng, p.split), ["{e} comes from {v}", "{e} is from {v}", "{e} came from {v}"], ["from"], v=lambda p: p.rng.choice(("Egypt", "Japan", "India", "Norway", "Peru", "Kenya", "Greece", "China", "Mexico", "Italy", w.invented(p.rng, p.split).capitalize())), weight=0.5)
family("bring", EVENT, ["for {e} you need {v}", "for {e} please bring {v}", "please bring {v} to {e}", "you need {v} for {e}"], ["bring"], v=lambda p: p.rng.choice((w.article(p.rng.choice(("ticket", "towel", "swim cap", "passport", "warm jacket", "pen", "mat", "helmet", "membership card"))), "comfortable shoes", "a pen and paper", "your insurance card", "an identity card")), weight=0.5)
GROUPS[2].add("where_pl")


_US_NOUN = lambda p: p.rng.choice((f"the {p.kind}", f"the {p.kind}", "the house", "the building", p.name))


def alike(a, b):
    """Whether what is told of the entity of one fact can be told of the other's."""
    x, y = FAMILIES[a.key]["entity"], FAMILIES[b.key]["entity"]
    return x is y or {x, y} <= {SPACE, PLACE, THING} or {x, y} <= {EVENT, ANY} and a.entity.split()[-1] in n.EVENT_HEADS


def agree(text, entity):
    """`text` with "are" for "is" where the entity is plural."""
    if n.is_plural(entity):
        for one, many in ((" is ", " are "), (" was ", " were "), (" has ", " have "), (" sells ", " sell "), (" comes ", " come "), (" opens ", " open "), (" closes ", " close "), (" starts ", " start "), (" costs ", " cost ")):
            for e in (entity, w.cap(entity)):
                text = text.replace(e + one, e + many)
    return text


def make(key, p):
    """A new fact of family `key` for the place `p`."""
    f = FAMILIES[key]
    e = f["entity"](p) if callable(f["entity"]) else f["entity"]
    slots = {k: s(p) for k, s in f["slots"].items()}
    if p.rng.random() < 0.55:
        us = dict(p="we", s="", are="are")
    else:
        us = dict(p=_US_NOUN(p), s="s", are="is")
    bare = e[4:] if e.startswith("the ") else e
    text = p.rng.choice(f["texts"])
    used = {k: v for k, v in slots.items() if "{" + k + "}" in text}
    text = text.format(**{**us, "k": p.kind, "b": bare, "e": e, "a": w.article(bare), "P": p.name, **slots})
    return Fact(key, e, agree(w.cap(text) + ("" if text.endswith(".") else "."), e), f["intents"], used, f["kind"])
