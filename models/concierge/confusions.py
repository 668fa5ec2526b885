"""Measures what PocketSphinx hears instead of what was said, and writes `confusions.json`.

    python models/concierge/confusions.py [utterances] [seed]

Utterances of the generator are spoken by flite's voices (with changes of pitch and pace, and quiet noise),
recognised as whole utterances with the general English model and the server's settings, and aligned word by
word with what was said.  The table: word or phrase -> how often it was misheard, and as what.  `noise.py` uses it.
Needs Debian's `flite`, `pocketsphinx` and `pocketsphinx-en-us`.
"""

import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import wave

import dialogue
from noise import NUMBERS, plain

HERE = pathlib.Path(__file__).parent
VOICES = ["slt", "rms", "awb", "kal16"]
MODEL = "/usr/share/pocketsphinx/model/en-us"
SETTINGS = ["-maxhmmpf", "6000", "-fwdflatsfwin", "50"]  # as in the server


def utterances(rng, count):
    """Spoken turns as the generator makes them, without any noise of its own."""
    kinds = dict(
        fact=50,
        follow=12,
        unknown=12,
        outside=6,
        social=6,
        greet=2,
        who=2,
        place=1,
        name=4,
        repeat=3,
        said=2,
        asked=2,
        all=1,
        clock=4,
        sum=2,
    )
    out = []
    while len(out) < count:
        d = dialogue.make(rng, n_facts=6, n_turns=3, noise=0.0, kinds=kinds)
        out += [
            plain(t["user"]) for t in d["turns"] if 0 < len(plain(t["user"])) < 90 and not re.search(r"\d", t["user"])
        ]
    return out[:count]


def speak(rng, text, path):
    """`text` in a random voice, pitch and pace, with quiet noise, as 16 kHz WAV."""
    voice = rng.choice(VOICES)
    subprocess.run(
        [
            "flite",
            "-voice",
            voice,
            "--setf",
            f"duration_stretch={rng.uniform(0.9, 1.25):.2f}",
            "-t",
            text,
            "-o",
            str(path),
        ],
        check=True,
    )
    with wave.open(str(path)) as f:
        rate, samples = f.getframerate(), bytearray(f.readframes(f.getnframes()))
    assert rate == 16000, f"{path}: {voice} speaks at {rate} Hz"
    loud = rng.choice((0, 10, 40, 120))
    pad = [int(rng.gauss(0, loud or 1)) for _ in range(4000)]
    values = (
        pad
        + [
            max(-32768, min(32767, int.from_bytes(samples[i : i + 2], "little", signed=True) + int(rng.gauss(0, loud))))
            for i in range(0, len(samples), 2)
        ]
        + pad
    )
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1), f.setsampwidth(2), f.setframerate(rate)
        f.writeframes(b"".join(v.to_bytes(2, "little", signed=True) for v in values))


def recognise(folder, names, model=MODEL):
    """-> the transcript of each file."""
    (folder / "list").write_text("\n".join(names) + "\n")
    subprocess.run(
        [
            "pocketsphinx_batch",
            "-adcin",
            "yes",
            "-adchdr",
            "44",
            "-cepext",
            ".wav",
            "-cepdir",
            str(folder),
            "-ctl",
            str(folder / "list"),
            "-hyp",
            str(folder / "hyp"),
            "-hmm",
            f"{model}/en-us",
            "-lm",
            f"{model}/en-us.lm.bin",
            "-dict",
            f"{model}/cmudict-en-us.dict",
            "-logfn",
            "/dev/null",
            *SETTINGS,
        ],
        check=True,
    )
    out = {}
    for line in (folder / "hyp").read_text().splitlines():
        text, name = re.match(r"(.*) ?\((\S+) \S+\)$", line).groups()
        out[name] = re.sub(r"\(\d+\)", "", text).strip()
    return [out.get(x, "") for x in names]


def align(said, heard):
    """Levenshtein on words -> list of (said words, heard words) stretches, equal ones one word at a time."""
    n, m = len(said), len(heard)
    cost = [[0] * (m + 1) for _ in range(n + 1)]
    for i in range(n + 1):
        for j in range(m + 1):
            if i == 0 or j == 0:
                cost[i][j] = i + j
            else:
                cost[i][j] = min(
                    cost[i - 1][j - 1] + 1.1 * (said[i - 1] != heard[j - 1]), cost[i - 1][j] + 1, cost[i][j - 1] + 1
                )
    steps, i, j = [], n, m
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + 1.1 * (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            steps.append(([said[i]], [heard[j]]))
        elif i and cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
            steps.append(([said[i]], []))
        else:
            j -= 1
            steps.append(([], [heard[j]]))
    out = []
    for a, b in reversed(steps):
        wrong = a != b
        if wrong and out and out[-1][2]:
            out[-1] = (out[-1][0] + a, out[-1][1] + b, True)
        else:
            out.append((a, b, wrong))
    return out


def main(count=1500, seed=3):
    rng = random.Random(seed)
    texts = utterances(rng, count)
    pairs = []
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        for start in range(0, count, 100):
            part = texts[start : start + 100]
            names = [f"u{start + i}" for i in range(len(part))]
            for name, text in zip(names, part):
                speak(rng, text, folder / f"{name}.wav")
            pairs += list(zip(part, recognise(folder, names)))
            for name in names:
                (folder / f"{name}.wav").unlink()
            path = HERE / "run" / "heard.tsv"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(f"{a}\t{b}" for a, b in pairs) + "\n")
            build(pairs)


def build(pairs):
    """`confusions.json` from pairs of (said, heard)."""
    seen, wrong, errors, words = collections.Counter(), collections.defaultdict(collections.Counter), 0, 0
    for said, heard in pairs:
        a, b = said.split(), heard.split()
        words += len(a)
        for n in (1, 2, 3):
            for i in range(len(a) - n + 1):
                seen[" ".join(a[i : i + n])] += 1
        for x, y, bad in align(a, b):
            if bad:
                errors += max(len(x), len(y))
                if 1 <= len(x) <= 3 and len(y) <= 4 and not set(x) & NUMBERS:
                    wrong[" ".join(x)][" ".join(y)] += 1
    table = {}
    for x, ys in sorted(wrong.items()):
        if seen[x] >= 3 or len(x.split()) > 1:
            table[x] = dict(
                rate=round(min(0.6, sum(ys.values()) / max(seen[x], 2)), 3), **{"as": dict(ys.most_common(8))}
            )
    (HERE / "confusions.json").write_text(
        json.dumps(
            dict(utterances=len(pairs), word_error_rate=round(errors / words, 3), heard=table), indent=0, sort_keys=True
        )
        + "\n"
    )
    print(f"{len(pairs)} utterances, word error rate {errors / words:.3f}, {len(table)} entries")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
