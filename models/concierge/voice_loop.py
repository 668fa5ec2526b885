"""The same questions by voice: flite speaks them, the server's recogniser writes them, concierge answers.

    python models/concierge/voice_loop.py [--vivavoce PATH] [--config FILE|auto] [--count 60] [checkpoint folder]

Asks every persona of `suites/personas.yml` its questions, then conversations of the generator with unseen facts
(`--count` of them).  The transcript comes from `vivavoce transcribe`, one call a recording; with `--config auto`
a configuration with the conversation's facts is written for each prompt, so that a recogniser which learns the
words of `persona.facts` hears them.  Prints word error rate and exact answers, and every failure.
"""

import argparse
import pathlib
import random
import subprocess
import tempfile

import torch
import yaml

import dialogue
import words as w
from chat import HERE, Conversation, load
from confusions import VOICES, align
from evaluate import answers, personas
from noise import plain


class Ear:
    """Speaks with flite and listens with `vivavoce transcribe`."""

    def __init__(self, binary, config, folder):
        self.binary, self.config, self.folder, self.number = binary, config, pathlib.Path(folder), 0
        self.wrong = self.words = 0

    def persona(self, system, name, facts):
        """From here on, recordings belong to this prompt."""
        if self.config == "auto":
            self.path = self.folder / "config.yml"
            self.path.write_text(yaml.safe_dump(dict(persona=dict(name=name, system_prompt=system, facts=facts))))
        else:
            self.path = self.config

    def hear(self, text, voice):
        self.number += 1
        wav = self.folder / f"q{self.number}.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(wav)], check=True)
        command = [self.binary, "transcribe", *(["--config", str(self.path)] if self.path else []), str(wav)]
        heard = subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.folder).stdout.strip()
        wav.unlink()
        said = plain(text).split()
        self.words += len(said)
        self.wrong += sum(max(len(a), len(b)) for a, b, bad in align(said, plain(heard).split()) if bad)
        return heard

    def error_rate(self):
        return f"word error rate {100 * self.wrong / self.words:.1f} %"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", nargs="?", default=HERE / "run")
    p.add_argument("--vivavoce", default=str(HERE.parent.parent / "target" / "release" / "vivavoce"))
    p.add_argument(
        "--config", help="a configuration file for the recogniser, or auto: one with the facts of each prompt"
    )
    p.add_argument("--count", type=int, default=60, help="conversations of the generator, three turns each")
    p.add_argument("--voices", nargs="*", default=VOICES)
    a = p.parse_args()
    torch.set_num_threads(1)
    model, tk = load(a.checkpoint)
    rng = random.Random(17)
    with tempfile.TemporaryDirectory() as folder:
        ear = Ear(str(pathlib.Path(a.vivavoce).resolve()), a.config, folder)
        right = asked = 0
        for persona in personas():
            ear.persona(persona["system"], persona.get("name", "Vivavoce"), persona["facts"])
            talk = Conversation(model, tk, persona["prompt"])
            for turn in persona["talk"]:
                heard = ear.hear(turn["ask"], rng.choice(a.voices))
                reply = talk.ask(heard)
                good = answers(reply, turn)
                right, asked = right + good, asked + 1
                if not good:
                    print(f"   {turn['ask']} | heard: {heard} | {reply}", flush=True)
        print(f"personas by voice: {right}/{asked} = {100 * right / asked:.1f} %, {ear.error_rate()}")
        ear.wrong = ear.words = right = asked = 0
        kinds = dict(fact=60, unknown=12, social=5, greet=3, who=3, clock=4, sum=4, repeat=3)
        for _ in range(a.count):
            d = dialogue.make(rng, w.VALUES, rng.randint(4, 8), 3, noise=0.0, kinds=kinds)
            ear.persona(d["system"].split("\n\nWhat you know: ")[0], "Vivavoce", [x.text for x in d["facts"]])
            talk = Conversation(model, tk, d["system"])
            for turn in d["turns"]:
                heard = ear.hear(plain(turn["user"]), rng.choice(a.voices))
                reply = talk.ask(heard)
                # The clock's answer is the test's own; a repeated reply counts as what this conversation said before.
                want = turn["reply"] if turn["kind"] not in ("time", "date", "year", "repeat") else None
                good = reply == want if want else (turn["kind"] == "repeat" and reply != "") or bool(talk.calls)
                right, asked = right + good, asked + 1
                if not good:
                    print(f"   {turn['user']} | heard: {heard} | wanted: {want} | {reply}", flush=True)
        if asked:
            print(f"generator by voice: {right}/{asked} = {100 * right / asked:.1f} % exact, {ear.error_rate()}")


if __name__ == "__main__":
    main()
