"""Trains concierge from nothing, or goes on where a run stopped:

    python models/concierge/train.py --minutes 240              # writes models/concierge/run/
    python models/concierge/train.py --minutes 400 --resume     # goes on; the learning rate follows the new end
    python models/concierge/train.py --tokens 60                # the same length on every machine

A run ends after `--minutes` or after `--tokens`, whichever comes first, and the rate falls over its last share
(`--decay`) by that same clock.  A checkpoint (`state.pt` with the optimisers, and a plain Hugging Face folder) is
written every few minutes; `stable.pt` is the state in which the rate began to fall, from which a longer run goes on.
The generator is read anew at each start, so a run can be stopped (SIGTERM saves), given better data and resumed.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import Qwen3Config, Qwen3ForCausalLM

import dialogue
import tokenizer
from evaluate import IN_TRAINING, accuracy, make_suite
from turns import KINDS
from wiring import wire_induction

HERE = pathlib.Path(__file__).parent
OTHER_WEIGHT, OTHER_SHARE = 0.1, 0.25  # loss of prompt and user tokens, and the share of them that is scored
WARM_UP = 40  # steps
LEVELS = 12  # facts of the longest prompts
READ_ALL = {2: 25, 3: 15, 4: 8, 5: 4}  # "tell me everything" at each level: long copies make copying form early
LONGEST_STEP = 0.5  # minutes; what a step takes longer, the machine was busy or asleep, and does not count


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, default=HERE / "run")
    p.add_argument("--resume", nargs="?", const="state.pt", help="go on with this state in --out (default: state.pt)")
    p.add_argument("--init", type=pathlib.Path, help="start from this checkpoint's weights, with a fresh optimiser")
    p.add_argument("--minutes", type=float, default=240, help="length of the whole run, all resumed parts together")
    p.add_argument("--tokens", type=float, default=float("inf"), help="the same in millions of tokens")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--device", default="cpu")
    p.add_argument("--bf16", type=int, default=1, help="matrix products in bfloat16")
    p.add_argument("--compile", type=int, default=1)
    p.add_argument("--vocab", type=int, default=1056)
    p.add_argument("--hidden", type=int, default=256)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--ffn", type=int, default=704)
    p.add_argument("--lr", type=float, default=3e-3, help="Muon, for the matrices")
    p.add_argument("--emb-lr", type=float, default=1e-3, help="AdamW, for embeddings and norms")
    p.add_argument("--batch-tokens", type=int, default=3072)
    p.add_argument("--decay", type=float, default=0.5, help="last share of the run, in which the rate falls to 2 %%")
    p.add_argument("--level", type=int, default=2, help="facts of the first prompts")
    p.add_argument("--grow-at", type=float, default=0.35, help="reply loss below which prompts grow by a fact")
    p.add_argument("--noise", type=float, default=0.3, help="share of spoken turns that are misheard")
    p.add_argument("--eval-every", type=float, default=20, help="minutes")
    p.add_argument("--save-every", type=float, default=3, help="minutes")
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


# ---------------------------------------------------------------------------------- model and optimisers
def new_model(a, vocab):
    """A plain Qwen3 whose start values already copy."""
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocab,
            hidden_size=a.hidden,
            num_hidden_layers=a.layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=64,
            intermediate_size=a.ffn,
            tie_word_embeddings=True,
            max_position_embeddings=2048,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            bos_token_id=None,
            eos_token_id=tokenizer.END,
            pad_token_id=0,
        )
    )
    wire_induction(model)
    return model


def optimisers_of(model, a):
    """Muon for the matrices, AdamW for embeddings and norms."""
    matrices = [x for n, x in model.named_parameters() if x.ndim == 2 and "embed" not in n]
    others = [x for n, x in model.named_parameters() if x.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=a.lr, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=a.emb_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


# ---------------------------------------------------------------------------------- data
def conversation(rng, level, noise):
    """A conversation for this level of the curriculum."""
    count = rng.randint(max(1, level // 3), level)
    if rng.random() >= 0.95:
        count = rng.choice((0, 0, 1, level + 4, level + 8))
    kinds = dict(KINDS, all=READ_ALL.get(level, KINDS["all"]))
    return dialogue.make(rng, n_facts=count, n_turns=rng.randint(6, 14), noise=noise * min(1.0, level / 8), kinds=kinds)


def batches(rng, tk, at, a):
    """Conversations sorted by length and cut into batches of about `batch_tokens`, padded at the end."""
    while True:
        pool = (tokenizer.encode(tk, conversation(rng, at["level"], a.noise), rng) for _ in range(128))
        pool = sorted(pool, key=lambda s: len(s[0]))
        cut, i = [], 0
        while i < len(pool):
            j = i + 1
            while j < len(pool) and len(pool[j][0]) * (j + 1 - i) <= a.batch_tokens:
                j += 1
            cut.append(pool[i:j])
            i = j
        if len(cut) > 1:
            cut.pop(rng.choice((0, -1)))  # the last may be small; the first, now and then, for balance
        rng.shuffle(cut)
        for part in cut:
            length = (max(len(ids) for ids, _ in part) + 15) // 16 * 16
            x = torch.zeros(len(part), length, dtype=torch.long)
            m = torch.full((len(part), length), -1, dtype=torch.long)
            for r, (ids, mask) in enumerate(part):
                x[r, : len(ids)] = torch.tensor(ids)
                m[r, : len(ids)] = torch.tensor(mask)
            yield x.to(a.device), m.to(a.device)


# ---------------------------------------------------------------------------------- the run
class Run:
    """Model, optimisers and how far the run is (`at`, all that a checkpoint holds besides)."""

    def __init__(self, a):
        self.a = a
        path = (a.init or HERE) / "tokenizer.json"
        self.tk = Tokenizer.from_file(str(path)) if path.exists() else tokenizer.train(path, a.vocab)
        self.tk.save(str(a.out / "tokenizer.json"))
        torch.manual_seed(a.seed)
        if a.init:
            self.model = Qwen3ForCausalLM.from_pretrained(a.init, dtype=torch.float32)
        else:
            self.model = new_model(a, self.tk.get_vocab_size())
        self.model.config._attn_implementation = "sdpa"
        self.model.config.use_cache = False
        self.model.to(a.device).train()
        self.body = torch.compile(self.model.model, dynamic=True) if a.compile else self.model.model
        self.optimisers = optimisers_of(self.model, a)
        self.at = dict(step=0, tokens=0, minutes=0.0, level=a.level, level_steps=0, loss=None)
        if a.resume:
            state = torch.load(a.out / a.resume, map_location=a.device)
            self.model.load_state_dict(state["model"])
            for o, s in zip(self.optimisers, state["optimisers"]):
                o.load_state_dict(s)
            self.at = state["at"]
        self.suites = {s: make_suite(s, 40) for s in IN_TRAINING}

    def save_state(self, name):
        part = self.a.out / "state.tmp"
        optimisers = [o.state_dict() for o in self.optimisers]
        torch.save(dict(model=self.model.state_dict(), optimisers=optimisers, at=self.at), part)
        os.replace(part, self.a.out / name)

    def save(self):
        self.save_state("state.pt")
        self.model.save_pretrained(self.a.out)

    def done(self):
        """How much of the run is over, by the clock that is further."""
        return max(self.at["minutes"] / self.a.minutes, self.at["tokens"] / 1e6 / self.a.tokens)

    def rate(self):
        """The learning rate's factor: a short rise, 1, and a straight fall to 2 %."""
        left = (1 - self.done()) / self.a.decay
        falling = left <= 1
        if falling and not self.at.get("falling"):
            self.save_state("stable.pt")
        self.at["falling"] = falling
        return min(1.0, (self.at["step"] + 1) / WARM_UP) * (0.02 + 0.98 * left if falling else 1.0)

    def step(self, x, m, rate):
        """One batch; -> the mean loss of the replies' tokens."""
        for o, base in zip(self.optimisers, (self.a.lr, self.a.emb_lr)):
            for g in o.param_groups:
                g["lr"] = base * rate
        y, mask = x[:, 1:].reshape(-1), m[:, 1:].reshape(-1)
        keep = (mask == 1) | ((mask == 0) & (torch.rand(mask.shape, device=mask.device) < OTHER_SHARE))
        with torch.autocast(self.a.device, torch.bfloat16, enabled=bool(self.a.bf16)):
            h = self.body(input_ids=x).last_hidden_state[:, :-1].reshape(-1, self.model.config.hidden_size)[keep]
            logits = self.model.lm_head(h)
        ce = F.cross_entropy(logits.float(), y[keep], reduction="none")
        own = mask[keep] == 1
        main = ce[own].mean()
        (main + OTHER_WEIGHT * ce[~own].mean()).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for o in self.optimisers:
            o.step()
            o.zero_grad(set_to_none=True)
        return main.item()

    def count(self, tokens, loss, minutes):
        """Notes a step that is done, and lets the prompts grow when the loss allows."""
        at = self.at
        at["step"] += 1
        at["tokens"] += tokens
        at["minutes"] += min(minutes, LONGEST_STEP)
        at["level_steps"] += 1
        at["loss"] = loss if at["loss"] is None else 0.97 * at["loss"] + 0.03 * loss
        if at["level"] < LEVELS and at["level_steps"] >= 25 and (at["loss"] < self.a.grow_at or at["level_steps"] > 100):
            at["level"], at["level_steps"] = at["level"] + 1, 0

    def evaluate(self):
        """Prints how many replies of each suite are right, and adds it to `log.jsonl`."""
        self.model.eval()
        exact = {s: round(accuracy(self.model, self.tk, d, self.a.device), 3) for s, d in self.suites.items()}
        self.model.train()
        at = self.at
        row = dict(step=at["step"], tokens=at["tokens"], loss=round(at["loss"], 4), level=at["level"], **exact)
        line = json.dumps(dict(minutes=round(at["minutes"], 1), **row))
        print(line, flush=True)
        with open(self.a.out / "log.jsonl", "a") as log:
            log.write(line + "\n")


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    a.out.mkdir(parents=True, exist_ok=True)
    run = Run(a)
    at, stop = run.at, []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    size = sum(x.numel() for x in run.model.parameters())
    print(f"{size / 1e6:.2f} M parameters, vocabulary {run.tk.get_vocab_size()}", flush=True)
    last_eval = last_save = at["minutes"]
    shown, then = (time.time(), at["tokens"]), time.time()
    for x, m in batches(random.Random(a.seed * 1_000_003 + at["step"]), run.tk, at, a):
        if run.done() >= 1 or stop:
            break
        rate = run.rate()
        loss = run.step(x, m, rate)
        now = time.time()
        run.count(x.numel(), loss, (now - then) / 60)
        then = now
        if at["step"] % 25 == 0:
            speed = (at["tokens"] - shown[1]) / (now - shown[0])
            where = f"{at['minutes']:.1f} min step {at['step']} level {at['level']}"
            print(f"{where} loss {at['loss']:.4f} rate {rate:.2f} tokens/s {speed:.0f}", flush=True)
            shown = (now, at["tokens"])
        if at["minutes"] - last_save > a.save_every:
            run.save()
            last_save = at["minutes"]
        if at["minutes"] - last_eval > a.eval_every:
            run.evaluate()
            last_eval = at["minutes"]
    run.save()
    if not stop:
        run.evaluate()


if __name__ == "__main__":
    main()
