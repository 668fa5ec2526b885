import assert from "node:assert/strict";
import { test } from "node:test";

import { EventParser, type ServerEvent } from "../src/sse";

const STREAM = ': hello\n\nevent: delta\ndata: {"a":"ü😀"}\n\nevent:done\r\ndata:one\r\ndata: two\r\n\r\ndata: x\rid: 7\r\r';
const EVENTS: ServerEvent[] = [
    { name: "delta", data: '{"a":"ü😀"}' },
    { name: "done", data: "one\ntwo" },
    { name: "message", data: "x" },
];

test("events are the same wherever the text is cut", () => {
    for (let first = 0; first <= STREAM.length; first++) {
        for (let second = first; second <= STREAM.length; second += 7) {
            const parser = new EventParser();
            const pieces = [STREAM.slice(0, first), STREAM.slice(first, second), STREAM.slice(second), "\n"];
            assert.deepEqual(
                pieces.flatMap((piece) => parser.push(piece)),
                EVENTS,
                `cut at ${first} and ${second}`,
            );
        }
    }
});

test("an event without its empty line has not come", () => {
    assert.deepEqual(new EventParser().push("event: done\ndata: {}\n"), []);
});
