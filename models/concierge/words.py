"""Words for values: numbers, times, prices, dates, invented words and people's names.

Every invented word and every listed name (`grammar/names.yml`) belongs to one side, training or test, by a hash
of its letters, so nothing that a test asks for was ever seen in training.  Nouns are in `nouns.py`.
"""

import pathlib
import zlib

import yaml

GRAMMAR = pathlib.Path(__file__).parent / "grammar"


def read(name):
    """A word list or a set of wordings of the folder `grammar`."""
    return yaml.safe_load((GRAMMAR / name).read_text())


_NAMES = read("names.yml")

# ---------------------------------------------------------------------------------- the two sides
TRAIN, VALUES, PHRASING, NAMES, NOUNS = "train", "values", "phrasing", "names", "nouns"


def held_out(word):
    """Whether `word` is kept away from training."""
    return zlib.crc32(word.lower().encode()) % 8 == 0


def side(pool, test):
    """The words of `pool` on one side; the training side if the test side is empty."""
    return [w for w in pool if held_out(w) == test] or list(pool)


# ---------------------------------------------------------------------------------- invented words
ONSET = (
    "b c d f g h j k l m n p r s t v w z br dr fl gr kr pr st tr sh ch bl cl cr gl pl qu sk sl sp th wh y sw"
).split()
ONSET_NEW = "gw str spl thr scr shr phl tw sm sn kn".split()  # only in the test split "names"
VOWEL = "a e i o u a e i o u ai ea ie oo ou ee ey au".split()
CODA = ["", "", "", "", "n", "r", "l", "s", "m", "t", "x", "nd", "rk", "ck", "ng", "lt", "sh", "th"]
ENDINGS = (
    "water field stone wood bridge ford ham ton ley worth burn dale bury mere wick by more gate well man son berg "
    "stein mann ski sen ova ez ini ault feather smith land view haven hurst crest hill"
).split()


def invented(rng, split=TRAIN):
    """A pronounceable word that is in no dictionary, lower case."""
    while True:
        onsets = ONSET + ONSET_NEW * 3 if split == NAMES else ONSET
        n = rng.choice((1, 1, 2, 2, 2, 3))
        word = "".join(rng.choice(onsets) + rng.choice(VOWEL) for _ in range(n)) + rng.choice(CODA)
        if n == 1 or (n == 2 and rng.random() < 0.12):
            word += rng.choice(ENDINGS)
        if split == NAMES and not any(o in word for o in ONSET_NEW):
            continue
        if len(word) > 2 and held_out(word) == (split != TRAIN):
            return word


# ---------------------------------------------------------------------------------- people
FIRST, LAST = _NAMES["first"], _NAMES["last"]
TITLES = ["Mister", "Mr", "Mrs", "Ms", "Doctor", "Dr", "Professor", "Madame"]


def first_name(rng, split=TRAIN):
    if split in (NAMES, VALUES):
        return rng.choice(side(FIRST, True)) if rng.random() < 0.5 else invented(rng, split).capitalize()
    return rng.choice(side(FIRST, False)) if rng.random() < 0.65 else invented(rng, split).capitalize()


def last_name(rng, split=TRAIN):
    if split in (NAMES, VALUES):
        return rng.choice(side(LAST, True)) if rng.random() < 0.5 else invented(rng, split).capitalize()
    return rng.choice(side(LAST, False)) if rng.random() < 0.6 else invented(rng, split).capitalize()


def person(rng, split=TRAIN):
    """A person as facts name one: Maria, Maria Keller, Doctor Keller, Doctor Maria Keller."""
    kind = rng.random()
    if kind < 0.35:
        return first_name(rng, split)
    if kind < 0.65:
        return f"{first_name(rng, split)} {last_name(rng, split)}"
    if kind < 0.93:
        return f"{rng.choice(TITLES)} {last_name(rng, split)}"
    return f"{rng.choice(TITLES)} {first_name(rng, split)} {last_name(rng, split)}"


# ---------------------------------------------------------------------------------- numbers
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()


def spell(n):
    """An integer in words."""
    if n < 0:
        return "minus " + spell(-n)
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (" " + ONES[n % 10] if n % 10 else "")
    if n < 1000:
        return ONES[n // 100] + " hundred" + (" and " + spell(n % 100) if n % 100 else "")
    return spell(n // 1000) + " thousand" + (" " + spell(n % 1000) if n % 1000 else "")


def ordinal(n):
    """`n` (below 100) as an ordinal number in words."""
    if n < 20:
        return ORDINALS[n]
    return TENS[n // 10][:-1] + "ieth" if n % 10 == 0 else TENS[n // 10] + " " + ORDINALS[n % 10]


def number(rng, n, digits=None):
    """`n` in words, or in digits in one case of three."""
    return str(n) if (rng.random() < 0.33 if digits is None else digits) else spell(n)


def clock_time(rng):
    """A time as a fact tells it: half past nine, 9:30, 9 am, nine thirty in the morning."""
    if rng.random() < 0.3:
        h, m = rng.randint(0, 23), rng.choice((0, 0, 15, 30, 30, 45, rng.randint(0, 59)))
        style = rng.random()
        if style < 0.6:
            return f"{h}:{m:02d}"
        h = h % 12 or 12
        return (
            f"{h} {rng.choice(('am', 'pm', 'a.m.', 'p.m.'))}" if m == 0 else f"{h}:{m:02d} {rng.choice(('am', 'pm'))}"
        )
    if rng.random() < 0.04:
        return rng.choice(("noon", "midnight", "sunset", "lunchtime"))
    h = rng.randint(1, 12)
    t = rng.choice(
        (
            spell(h),
            spell(h),
            spell(h),
            f"half past {spell(h)}",
            f"half past {spell(h)}",
            f"quarter past {spell(h)}",
            f"a quarter past {spell(h)}",
            f"quarter to {spell(h)}",
            f"{spell(h)} {spell(rng.choice((10, 15, 20, 30, 30, 40, 45, 50)))}",
            f"{spell(rng.choice((5, 10, 20, 25)))} {rng.choice(('past', 'to'))} {spell(h)}",
        )
    )
    if rng.random() < 0.3:
        t += rng.choice(
            (" in the morning", " in the evening", " in the afternoon", " at night", "" if " " in t else " o'clock")
        )
    return t


def price(rng):
    """An amount of money: four euros fifty, 4.50 euros, twelve pounds."""
    unit = rng.choice(("euros", "euros", "euros", "pounds", "dollars", "francs", "crowns"))
    n = rng.choice((rng.randint(2, 20), rng.randint(2, 99), rng.randint(1, 40) * 5, rng.randint(1, 9) * 100))
    if rng.random() < 0.33:
        cents = rng.choice(("", "", ".50", ".80", ".20", ".90", ".75"))
        return rng.choice((f"{n}{cents} {unit}", f"{n}{cents} {unit}", f"{'€' if unit == 'euros' else '$'}{n}{cents}"))
    if rng.random() < 0.04:
        return f"one {unit[:-1]}"
    if rng.random() < 0.25:
        return f"{spell(n)} {unit} {rng.choice(('fifty', 'twenty', 'eighty', 'ninety', 'thirty five', 'seventy five'))}"
    return f"{spell(n)} {unit}"


def duration(rng):
    return rng.choice(
        (
            f"{number(rng, rng.choice((5, 10, 15, 20, 25, 30, 40, 45, 50, 60, 75, 90)))} minutes",
            f"{number(rng, rng.randint(2, 9))} hours",
            "half an hour",
            "one hour",
            "an hour and a half",
            "an hour",
            "three quarters of an hour",
            "about twenty minutes",
            f"{number(rng, rng.randint(2, 6))} days",
        )
    )


def phone(rng):
    """A telephone number, digit by digit or in figures."""
    d = [rng.randint(0, 9) for _ in range(rng.randint(3, 8))]
    if rng.random() < 0.35:
        s = "".join(map(str, d))
        return s if len(s) < 6 else s[:3] + " " + s[3:]
    return " ".join(ONES[x] for x in d)


def year(rng):
    if rng.random() < 0.5:
        return str(rng.randint(1100, 2025))
    return rng.choice(
        (f"{spell(rng.randint(11, 19))} {spell(rng.randint(10, 99))}", f"two thousand {spell(rng.randint(1, 25))}")
    )


def day(rng):
    return rng.choice(DAYS)


def days(rng):
    """A day or span of days as it stands after "on" or "open": Monday, Mondays, weekends."""
    return rng.choice((rng.choice(DAYS), rng.choice(DAYS) + "s", "weekends", "public holidays"))


def day_span(rng):
    i, j = sorted(rng.sample(range(7), 2))
    return f"from {DAYS[i]} to {DAYS[j]}"


def date(rng):
    d, m = rng.randint(1, 28), rng.choice(MONTHS)
    return rng.choice((f"the {ordinal(d)} of {m}", f"{m} {d}", f"{d} {m}", f"{m} the {ordinal(d)}"))


# ---------------------------------------------------------------------------------- small grammar of words
def article(phrase):
    """`phrase` with "a" or "an" by its sound."""
    w = phrase.split()[0].lower()
    vowel = w[0] in "aeiou" and not w.startswith(("uni", "use", "eu", "one"))
    return ("an " if vowel or w.startswith(("hour", "honest")) else "a ") + phrase


def cap(s):
    return s[:1].upper() + s[1:]


def decap(s):
    """The sentence `s` as it stands after "Yes,": only words that are no names lose their capital."""
    w = s.split(" ")[0]
    plain = {
        "The",
        "A",
        "An",
        "We",
        "You",
        "There",
        "On",
        "In",
        "For",
        "Our",
        "It",
        "Entry",
        "Admission",
        "Children",
        "At",
        "All",
        "Only",
        "Today's",
        "Lunch",
        "Breakfast",
        "Dinner",
        "Visitors",
        "Guests",
        "Parking",
        "Check-in",
        "Check-out",
        "To",
        "Your",
        "Every",
        "Please",
        "Free",
        "No",
    }
    return s[:1].lower() + s[1:] if w in plain else s
