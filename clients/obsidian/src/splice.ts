// How one text becomes another by changing as little as can be: so that cursor, selection and folds of an
// editor stay where they are. Positions count UTF-16 code units, as editors of browsers do.

/** Characters from `from` up to `to` become `text`. */
export interface Edit {
    from: number;
    to: number;
    text: string;
}

/** The smallest edit that makes `after` of `before`; `null`: they are the same. */
export function splice(before: string, after: string): Edit | null {
    if (before === after) {
        return null;
    }
    const shorter = Math.min(before.length, after.length);
    let start = 0;
    while (start < shorter && before.charCodeAt(start) === after.charCodeAt(start)) {
        start++;
    }
    // Half of a character is none.
    if (isHigh(before.charCodeAt(start - 1))) {
        start--;
    }
    let end = 0;
    while (
        end < shorter - start &&
        before.charCodeAt(before.length - 1 - end) === after.charCodeAt(after.length - 1 - end)
    ) {
        end++;
    }
    if (end > 0 && isLow(before.charCodeAt(before.length - end))) {
        end--;
    }
    return { from: start, to: before.length - end, text: after.slice(start, after.length - end) };
}

/**
 * The edits that make `after` of `before`, one after the other: that of the words, then that of the
 * frontmatter. A reply changes both; as one edit that would be the whole file, cursor and all.
 */
export function edits(before: string, after: string): Edit[] {
    const old = frontmatter(before);
    const made = frontmatter(after);
    // A new frontmatter brings an empty line with it.
    const empty = old === "" && made !== "" ? (/^\r?\n/.exec(after.slice(made.length))?.[0] ?? "") : "";
    const words = splice(before.slice(old.length), after.slice(made.length + empty.length));
    const moved = words && { ...words, from: words.from + old.length, to: words.to + old.length };
    return [moved, splice(old, made + empty)].filter((edit) => edit !== null);
}

function frontmatter(text: string): string {
    return /^\ufeff?---[ \t]*\r?\n(?:[^]*?\r?\n)?---[ \t]*\r?\n/.exec(text)?.[0] ?? "";
}

/** `text` with an edit made. */
export function applied(text: string, edit: Edit): string {
    return text.slice(0, edit.from) + edit.text + text.slice(edit.to);
}

/**
 * `edit`, which was meant for `known`, for what somebody has made of it meanwhile; `null`: they have changed
 * the very same place.
 */
export function rebased(edit: Edit, known: string, current: string): Edit | null {
    const theirs = splice(known, current);
    // At the very beginning, a frontmatter goes before whatever else.
    if (theirs === null || edit.to < theirs.from || edit.to === 0) {
        return edit;
    }
    if (edit.from > theirs.to) {
        const moved = theirs.text.length - (theirs.to - theirs.from);
        return { ...edit, from: edit.from + moved, to: edit.to + moved };
    }
    return null;
}

function isHigh(unit: number): boolean {
    return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(unit: number): boolean {
    return unit >= 0xdc00 && unit <= 0xdfff;
}
