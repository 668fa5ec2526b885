// One request to POST /chat/stream, and what comes of it.

import { EventParser } from "./sse";

export interface Server {
    url: string;
    token: string;
}

export interface Request {
    filename: string;
    content: string;
    agent?: string;
}

/** How it ended. */
export type Ending =
    | { kind: "answered"; agent: string; content: string }
    | { kind: "nothing"; reason: string }
    | { kind: "failed"; status: number; detail: string };

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Asks, and shows each state of the file to `show`. Throws where there is no answer at all, or on abort. */
export async function chat(
    fetch: Fetch,
    server: Server,
    request: Request,
    show: (content: string) => void,
    signal?: AbortSignal,
): Promise<Ending> {
    const response = await fetch(`${server.url.replace(/\/+$/, "")}/chat/stream`, {
        method: "POST",
        headers: { Authorization: `Bearer ${server.token}`, "Content-Type": "application/json" },
        body: JSON.stringify(request),
        signal: signal ?? null,
    });
    if (!response.ok || !response.body) {
        return refused(response.status, await response.text());
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventParser();
    for (;;) {
        const { done, value } = await reader.read();
        for (const { name, data } of parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }))) {
            const body = JSON.parse(data);
            if (name === "delta") {
                show(body.new_content);
            } else if (name === "done" && body.status === "ok") {
                return { kind: "answered", agent: body.agent, content: body.new_content };
            } else if (name === "done") {
                return { kind: "nothing", reason: body.reason };
            } else if (name === "error") {
                return { kind: "failed", status: body.status_code, detail: body.detail };
            }
        }
        if (done) {
            return { kind: "failed", status: 0, detail: "the connection ended before the reply did" };
        }
    }
}

function refused(status: number, body: string): Ending {
    let detail = `HTTP ${status}`;
    try {
        detail = JSON.parse(body).detail ?? detail;
    } catch {
        // Not of our server.
    }
    return { kind: "failed", status, detail };
}
