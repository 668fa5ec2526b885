// Server-sent events, out of text that comes in pieces. https://html.spec.whatwg.org/#event-stream-interpretation
// Deliberately absent: ids and reconnection; a reply is not asked for twice.

export interface ServerEvent {
    name: string;
    data: string;
}

export class EventParser {
    private rest = "";
    private name = "";
    private data: string[] = [];

    /** The events that are complete with `text`. */
    push(text: string): ServerEvent[] {
        const events: ServerEvent[] = [];
        this.rest += text;
        for (;;) {
            const end = this.rest.search(/\r|\n/);
            // The other half of a line's end may still come.
            if (end < 0 || (this.rest[end] === "\r" && end === this.rest.length - 1)) {
                return events;
            }
            const line = this.rest.slice(0, end);
            this.rest = this.rest.slice(end + (this.rest.startsWith("\r\n", end) ? 2 : 1));
            const event = this.line(line);
            if (event) {
                events.push(event);
            }
        }
    }

    private line(line: string): ServerEvent | undefined {
        if (line === "") {
            const event = this.data.length > 0 ? { name: this.name || "message", data: this.data.join("\n") } : undefined;
            this.name = "";
            this.data = [];
            return event;
        }
        const colon = line.indexOf(":");
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "event") {
            this.name = value;
        } else if (field === "data") {
            this.data.push(value);
        }
        return undefined;
    }
}
