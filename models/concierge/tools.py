"""Turns that need a tool: the clock and small sums.  The model writes the call; the server runs it."""

import json

import words as w
from grammar import expand
from noise import plain, typed
from talk import HAILS, TALK

FAILED = "I am sorry, that did not work."
SUM_ERRORS = ("division by zero", "not a sum", "number too large", "cannot read the expression")


def clock(t):
    """The time, the date or the year."""
    rng = t.rng
    kind = rng.choice(("time", "time", "time", "date", "date", "date", "year"))
    q = expand(TALK[kind], rng, t.held)[0]
    hour, minute, weekday = rng.randint(0, 23), rng.randint(0, 59), w.day(rng)
    day, month, year = rng.randint(1, 31), rng.randint(1, 12), rng.randint(2024, 2039)
    result = dict(
        date=f"{year}-{month:02d}-{day:02d}",
        weekday=weekday,
        time=f"{hour:02d}:{minute:02d}",
        spoken_time=spoken_time(hour, minute),
        spoken_date=f"{weekday}, the {w.ordinal(day)} of {w.MONTHS[month - 1]}",
    )
    reply = {
        "time": f"It is {result['spoken_time']}.",
        "date": f"Today is {result['spoken_date']}.",
        "year": f"It is the year {year}.",
    }[kind]
    user = t.spoken(q)
    if rng.random() < 0.02:
        result, reply = dict(error="no clock"), FAILED
    _add(t, kind, user, "now", {}, result, reply)
    return True


def spoken_time(hour, minute):
    """As the server's clock tool says it: fourteen minutes to four in the afternoon."""
    said, after = w.spell(hour % 12 or 12), w.spell((hour + 1) % 12 or 12)
    whole = {0: f"{said} o'clock", 15: f"quarter past {said}", 30: f"half past {said}", 45: f"quarter to {after}"}
    if minute in whole:
        said = whole[minute]
    elif minute < 30:
        said = f"{_minutes(minute)} past {said}"
    else:
        said = f"{_minutes(60 - minute)} to {after}"
    parts = (
        (5, "at night"),
        (12, "in the morning"),
        (18, "in the afternoon"),
        (22, "in the evening"),
        (24, "at night"),
    )
    return f"{said} {next(part for end, part in parts if hour < end)}"


def _minutes(k):
    return w.spell(k) + ("" if k % 5 == 0 else " minute" if k == 1 else " minutes")


def calculation(t):
    """A sum of two numbers, now and then of three, in words or in digits."""
    rng = t.rng
    digits = rng.random() < 0.2
    big = rng.choice((10, 20, 100, 100, 1000))
    op = rng.choice(("plus", "plus", "minus", "times", "divided by"))
    x, y = rng.randint(0 if big < 20 else 1, big), rng.randint(1, big)
    if op in ("times", "divided by"):
        x, y = rng.randint(1, min(big, 100)), rng.randint(1, 12)
    if op == "divided by" and rng.random() < 0.7:
        x *= y
    value = {"plus": x + y, "minus": x - y, "times": x * y, "divided by": x / y}[op]
    said = {
        "times": rng.choice(("times", "times", "multiplied by")),
        "minus": rng.choice(("minus", "minus", "minus", "take away")),
        "divided by": rng.choice(("divided by", "divided by", "over")),
    }.get(op, op)
    number = str if digits else w.spell
    heard, expression = f"{number(x)} {said} {number(y)}", f"{number(x)} {op} {number(y)}"
    if rng.random() < 0.12 and op in ("plus", "minus"):
        z = rng.randint(1, big)
        heard, expression, value = heard + f" plus {number(z)}", expression + f" plus {number(z)}", value + z
    result = sum_result(value)
    reply = f"{w.cap(expression)} is {result['spoken']}."
    if rng.random() < 0.03:
        result, reply = dict(error=rng.choice(SUM_ERRORS)), FAILED
    q = expand(TALK["sums"], rng, t.held)[0].replace("{s}", heard)
    if rng.random() < 0.15:
        q = f"{rng.choice(HAILS)} {q}"
    user = typed(rng, q) if digits or rng.random() < 0.15 else plain(q)
    if heard not in user.lower():
        user = q
    _add(t, "sum", user, "calculate", dict(expression=expression), result, reply)
    return True


def sum_result(value):
    """What the sum tool answers: digits, and words with at most two places."""
    if value == int(value):
        return dict(result=str(int(value)), spoken=w.spell(int(value)))
    text = f"{value:.2f}".rstrip("0")
    places = " ".join(w.ONES[int(c)] for c in text.split(".")[1])
    return dict(result=text, spoken=f"{w.spell(int(value))} point {places}")


def _add(t, kind, user, name, arguments, result, reply):
    call = json.dumps(dict(name=name, arguments=arguments))
    t.add(kind, user, reply, call=call, result=json.dumps(result))
