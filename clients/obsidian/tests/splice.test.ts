import assert from "node:assert/strict";
import { test } from "node:test";

import { Note } from "../src/note";
import { type Edit, applied, edits, rebased, splice } from "../src/splice";

const PIECES = ["a", "b", "ü", "😀", "😁", "\n", "### User:", ""];

/** Numbers that look random and are the same each time. */
function numbers(seed: number): () => number {
    return () => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        return Math.floor(seed / 65_536);
    };
}

function text(next: () => number, length: number): string {
    return Array.from({ length }, () => PIECES[next() % PIECES.length]).join("");
}

test("an edit makes the other text, and cuts no character in two", () => {
    for (let seed = 0; seed < 2_000; seed++) {
        const next = numbers(seed);
        const [before, after] = [text(next, next() % 8), text(next, next() % 8)];
        const edit = splice(before, after);
        assert.equal(edit ? applied(before, edit) : before, after);
        assert.equal(edit === null, before === after);
        const fronts = ["", "---\na: b\n---\n", "\ufeff---\r\n---\r\n", "---\nc\n---\n\n"];
        const [one, other] = [before, after].map((words) => `${fronts[next() % fronts.length]}${words}`) as [string, string];
        assert.equal(edits(one, other).reduce(applied, one), other);
        if (edit) {
            assert.ok(edit.text.isWellFormed() && before.slice(edit.from, edit.to).isWellFormed(), JSON.stringify([before, after]));
        }
    }
});

test("an edit is as small as can be", () => {
    assert.deepEqual(splice("one two", "one and two"), { from: 4, to: 4, text: "and " });
    assert.deepEqual(splice("same", "same!"), { from: 4, to: 4, text: "!" });
    assert.deepEqual(splice("aXa", "aa"), { from: 1, to: 2, text: "" });
    assert.deepEqual(splice("😀", "😁"), { from: 0, to: 2, text: "😁" });
});

test("what was typed elsewhere moves an edit, and in the same place stops it", () => {
    const edit = { from: 3, to: 3, text: "new" };
    assert.deepEqual(rebased(edit, "abc", "abc"), edit);
    assert.deepEqual(rebased(edit, "abc", "XXabc"), { from: 5, to: 5, text: "new" });
    assert.deepEqual(rebased({ ...edit, from: 0, to: 0 }, "abc", "abcd"), { from: 0, to: 0, text: "new" });
    assert.equal(rebased(edit, "abc", "abcd"), null);
});

function note(initial: string) {
    let current = initial;
    const made: Edit[] = [];
    const shown = new Note({
        get: () => current,
        edit: (edit) => {
            made.push(edit);
            current = applied(current, edit);
        },
    });
    return {
        shown,
        made,
        current: () => current,
        type: (change: (text: string) => string) => {
            current = change(current);
        },
    };
}

test("a reply grows at its place while somebody types at another", () => {
    const { shown, made, current, type } = note("Title\n### User:\nHi\n");
    shown.show("Title\n### User:\nHi\n\n### Assistant:\n\nHel\n");
    type((text) => text.replace("Title", "A longer title"));
    shown.show("Title\n### User:\nHi\n\n### Assistant:\n\nHello.\n");
    shown.show("---\nagent: a\n---\n\nTitle\n### User:\nHi\n\n### Assistant:\n\nHello.\n\n### User:\n\n");
    const words = "A longer title\n### User:\nHi\n\n### Assistant:\n\nHello.\n\n### User:\n\n";
    assert.equal(current(), `---\nagent: a\n---\n\n${words}`);
    assert.equal(shown.conflict, false);
    const lengths = made.map(({ from, to, text }) => [to - from, text.length]);
    assert.deepEqual(lengths, [[0, 21], [0, 3], [0, 12], [0, 18]]);
});

test("where somebody types into the reply it is left alone", () => {
    const { shown, current, type } = note("Hi\n");
    shown.show("Hi\nHel");
    type((text) => `${text} MINE`);
    shown.show("Hi\nHello.");
    shown.show("Hi\nHello. More.");
    assert.equal(current(), "Hi\nHel MINE");
    assert.ok(shown.conflict);
});
