"""Named samplers for `grammar/families.yml`: each gives one entity or value for the place `p` of a prompt.

A sampler is a function of the `Place`; it draws from `p.rng` and keeps to the side `p.split`.
"""

import nouns as n
import words as w


# ---------------------------------------------------------------------------------- times, amounts
def time(p):
    return w.clock_time(p.rng)


def price(p):
    return w.price(p.rng)


def days(p):
    return w.days(p.rng)


def day(p):
    return w.day(p.rng)


def day_span(p):
    return w.day_span(p.rng)


def date(p):
    return w.date(p.rng)


def year(p):
    return w.year(p.rng)


def duration(p):
    return w.duration(p.rng)


def phone(p):
    return w.phone(p.rng)


def when_open(p):
    """Days as they stand behind "open" beside hours: from Monday to Friday, every day."""
    return p.rng.choice((w.day_span(p.rng), "every day", "on " + w.days(p.rng)))


def days_open(p):
    """Days as they stand behind "open" alone."""
    return p.rng.choice(
        (w.day_span(p.rng), "on " + w.days(p.rng), "on weekdays", "every day", "around the clock", "all day")
    )


def _between(low, high):
    return lambda p: w.number(p.rng, p.rng.randint(low, high))


few = _between(2, 30)  # how many things one may take
years_old = _between(2, 900)
age_limit = _between(2, 18)
degrees = _between(4, 95)
length = _between(2, 120)


def people(p):
    return w.number(p.rng, p.rng.choice((p.rng.randint(4, 60), p.rng.randint(10, 90) * 5)))


def amount(p):
    return w.number(p.rng, p.rng.choice((p.rng.randint(2, 60), p.rng.randint(2, 900))))


def loan(p):
    """How long one may keep something: two weeks, 14 days, a month."""
    return p.rng.choice(
        (
            f"{w.number(p.rng, p.rng.randint(2, 9))} weeks",
            "one week",
            "a month",
            "two days",
            "one day",
            "three hours",
            f"{w.number(p.rng, p.rng.randint(2, 30))} days",
        )
    )


# ---------------------------------------------------------------------------------- things, places, people
def _phrase(sampler):
    return lambda p: sampler(p.rng, p.split)


space, thing, event, place, role = map(_phrase, (n.space, n.thing, n.event, n.place, n.role))
location, goods, ticket, allowed, transport = map(_phrase, (n.location, n.goods, n.ticket, n.allowed, n.transport))
password = _phrase(n.password)
person = _phrase(w.person)


def _listed(*names):
    pool = [x for name in names for x in n.ALL[name]]
    return lambda p: n.noun(p.rng, pool, p.split)


amenity, topic, goods_plural, counted = map(_listed, ("amenities", "topics", "goods_plural", "counted"))
action, duty, session, session_taught = map(_listed, ("actions", "duties", "sessions", "sessions_taught"))
course, animal, quantity_noun, bare_role = map(_listed, ("courses", "animals", "quantity_nouns", "roles"))


def anything(p):
    return p.rng.choice((n.space, n.thing, n.event))(p.rng, p.split)


def thing_or_role(p):
    return p.rng.choice((n.thing, n.role))(p.rng, p.split)


def person_or_role(p):
    return p.rng.choice((person, person, role))(p)


def reachable(p):
    """Whom one can call."""
    return p.rng.choice(
        (
            n.space(p.rng, p.split),
            n.role(p.rng, p.split),
            "security",
            "the emergency line",
            "room service",
            "the doctor",
            "the police",
        )
    )


def line(p):
    """What runs every so often."""
    return p.rng.choice((n.transport(p.rng, p.split), "the shuttle", "the ferry", "the airport bus", "the hotel bus"))


def profession(p):
    return w.article(bare_role(p))


def helper(p):
    """Who or what takes care of a matter."""
    return p.rng.choice((person(p), f"{person(p)} {location(p)}", role(p), space(p)))


def destination(p):
    return p.rng.choice(
        (space(p), w.invented(p.rng, p.split).capitalize(), "the airport", "the city centre", "the station")
    )


def origin(p):
    return p.rng.choice(
        (
            "Egypt",
            "Japan",
            "India",
            "Norway",
            "Peru",
            "Kenya",
            "Greece",
            "China",
            "Mexico",
            "Italy",
            w.invented(p.rng, p.split).capitalize(),
        )
    )


def restriction(p):
    """Where, when or how something is allowed."""
    return p.rng.choice(
        ("outside", "at home", "in " + space(p), "after " + time(p), "on " + days(p), "without flash", "in the lockers")
    )


def address(p):
    street = p.rng.choice(("Street", "Road", "Lane", "Square", "Avenue"))
    return f"{w.number(p.rng, p.rng.randint(1, 199))} {w.invented(p.rng, p.split).capitalize()} {street}"


def email(p):
    return (
        f"{p.rng.choice(('info', 'office', 'hello', 'desk', 'post'))} at {w.invented(p.rng, p.split)} dot "
        f"{p.rng.choice(('com', 'org', 'eu', 'net'))}"
    )


def dish(p):
    return n.dish(p.rng)


def ingredient(p):
    return p.rng.choice(n.INGREDIENTS)


def state(p):
    return p.rng.choice(n.STATES)


def languages(p):
    return " and ".join(p.rng.sample(n.LANGUAGES, 2))


def language(p):
    return p.rng.choice(n.LANGUAGES)


def obliged(p):
    """Whom a duty is for; the duty is the visitor's own if it is for "you" or all."""
    return p.rng.choice(n.ALL["obliged"]).format(a=w.number(p.rng, p.rng.randint(3, 16)))


def luggage(p):
    """What one has to bring."""
    article = w.article(
        p.rng.choice(
            ("ticket", "towel", "swim cap", "passport", "warm jacket", "pen", "mat", "helmet", "membership card")
        )
    )
    return p.rng.choice((article, "comfortable shoes", "a pen and paper", "your insurance card", "an identity card"))


# ---------------------------------------------------------------------------------- attributes
def attribute(p):
    """The code, the code of the printer, the code for the garden."""
    kinds = n.ALL["attributes"]
    p.attribute = p.rng.choice(w.side(list(kinds), p.split == w.NOUNS))
    r = p.rng.random()
    if r < 0.45:
        return f"the {p.attribute}"
    if r < 0.78:
        return f"the {p.attribute} of {(thing if p.rng.random() < 0.6 else event)(p)}"
    return f"the {p.attribute} for {place(p)}"


UNITS = ("metres", "kilos", "years", "degrees", "points", "people", "kilometres an hour", "litres")


def attribute_value(p):
    """A value that fits the attribute drawn last."""
    r = p.rng
    kind = n.ALL["attributes"][p.attribute]
    adjective, simple = r.choice(n.MODIFIERS), r.choice(n.SIMPLE)
    return {
        "digits": lambda: (
            w.phone(r)
            if r.random() < 0.3
            else r.choice((str(r.randint(1, 99)), str(r.randint(100, 9999)), w.spell(r.randint(1, 99))))
        ),
        "name": lambda: r.choice(
            (
                w.invented(r, p.split).capitalize(),
                f"the {adjective} {simple}",
                f"{simple.capitalize()} {w.invented(r, p.split).capitalize()}",
            )
        ),
        "words": lambda: password(p),
        "topic": lambda: r.choice((*n.ALL["themes"], f"the {adjective} {simple}")),
        "date": lambda: r.choice((w.date(r), w.day(r))),
        "place": lambda: place(p),
        "price": lambda: price(p),
        "amount": lambda: f"{w.number(r, r.randint(2, 120))} {r.choice(UNITS)}",
        "time": lambda: duration(p),
        "food": lambda: dish(p),
        "site": lambda: f"{w.invented(r, p.split)} dot {r.choice(('com', 'org', 'net'))}",
        "person": lambda: person(p),
    }.get(kind, lambda: r.choice(n.ALL["values_of"][kind]))()
