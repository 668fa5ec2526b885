import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { type Ending, chat } from "../src/chat";

type Answer = (request: IncomingMessage, body: string, response: ServerResponse) => void;

/** Asks a server that answers so; what it showed, and how it ended. */
async function ask(answer: Answer, signal?: AbortSignal): Promise<{ shown: string[]; ending: Ending }> {
    const server = createServer((request, response) => {
        let body = "";
        request.on("data", (piece) => (body += piece));
        request.on("end", () => answer(request, body, response));
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const shown: string[] = [];
    const request = { filename: "a.md", content: "Hi", agent: "tutor" };
    try {
        const ending = await chat(fetch, { url, token: "t" }, request, (content) => shown.push(content), signal);
        return { shown, ending };
    } finally {
        server.closeAllConnections();
        server.close();
    }
}

test("deltas are shown and the end is told", async () => {
    const { shown, ending } = await ask((request, body, response) => {
        assert.deepEqual([request.method, request.url, request.headers.authorization], ["POST", "/chat/stream", "Bearer t"]);
        assert.deepEqual(JSON.parse(body), { filename: "a.md", content: "Hi", agent: "tutor" });
        const event = Buffer.from('event: delta\ndata: {"new_content":"Grüß"}\n\n');
        // In the middle of a character.
        response.write(event.subarray(0, 38));
        response.write(event.subarray(38));
        response.end('event: done\ndata: {"status":"ok","agent":"tutor","new_content":"Grüß dich"}\n\n');
    });
    assert.deepEqual(shown, ["Grüß"]);
    assert.deepEqual(ending, { kind: "answered", agent: "tutor", content: "Grüß dich" });
});

test("every other end has its words", async () => {
    const told = async (status: number, text: string) =>
        (await ask((_, __, response) => response.writeHead(status).end(text))).ending;
    const nothing = 'event: done\ndata: {"status":"nothing_to_do","reason":"empty file","new_content":""}\n\n';
    assert.deepEqual(await told(200, nothing), { kind: "nothing", reason: "empty file" });
    const error = 'event: error\ndata: {"status_code":503,"detail":"no backend"}\n\n';
    assert.deepEqual(await told(200, error), { kind: "failed", status: 503, detail: "no backend" });
    assert.deepEqual(await told(409, '{"detail":"busy"}'), { kind: "failed", status: 409, detail: "busy" });
    assert.deepEqual(await told(502, "<html>"), { kind: "failed", status: 502, detail: "HTTP 502" });
    assert.equal((await told(200, "event: del")).kind, "failed");
});

test("it can be stopped", async () => {
    const stop = new AbortController();
    const asked = ask((_, __, response) => {
        response.write(": begun\n\n");
        stop.abort();
    }, stop.signal);
    await assert.rejects(asked, { name: "AbortError" });
});
