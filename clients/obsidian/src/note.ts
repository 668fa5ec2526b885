// A note that is being answered: what the server says of it, put into an editor in which somebody may be
// typing meanwhile.

import { type Edit, applied, edits, rebased } from "./splice";

/** What is needed of an editor. */
export interface Text {
    get(): string;
    edit(edit: Edit): void;
}

export class Note {
    /** What the server thinks is there. */
    private known: string;
    /** Some of what the server said could not be shown. */
    conflict = false;

    constructor(private readonly text: Text) {
        this.known = text.get();
    }

    /** Shows what the file holds now, by the smallest edits, beside what was typed meanwhile. */
    show(content: string): void {
        for (const edit of edits(this.known, content)) {
            const moved = this.conflict ? null : rebased(edit, this.known, this.text.get());
            if (!moved) {
                this.conflict = true;
                return;
            }
            this.text.edit(moved);
            // What was typed stays out of it: the next edit is placed anew.
            this.known = applied(this.known, edit);
        }
    }
}
