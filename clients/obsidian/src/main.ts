// The plugin: a command, a ribbon icon and a page of settings. What it does is in chat.ts and note.ts.

import { type App, type Editor, MarkdownView, Notice, Plugin, PluginSettingTab, Setting, type TFile } from "obsidian";

import { chat } from "./chat";
import { Note } from "./note";

interface Settings {
    url: string;
    token: string;
    /** Empty: as the note or the server says. */
    agent: string;
}

const DEFAULTS: Settings = { url: "http://localhost:8080", token: "", agent: "" };

export default class VivavocePlugin extends Plugin {
    settings: Settings = DEFAULTS;
    private readonly running = new Map<string, AbortController>();

    override async onload(): Promise<void> {
        this.settings = { ...DEFAULTS, ...(await this.loadData()) };
        this.addSettingTab(new SettingTab(this.app, this));
        this.addRibbonIcon("message-circle", "Answer this note", () => this.answerActive());
        this.addCommand({ id: "answer", name: "Answer this note", callback: () => this.answerActive() });
        this.addCommand({ id: "stop", name: "Stop the reply", callback: () => this.stopActive() });
    }

    override onunload(): void {
        this.running.forEach((run) => run.abort());
    }

    private answerActive(): void {
        const view = this.app.workspace.getActiveViewOfType(MarkdownView);
        if (!view?.file) {
            new Notice("Vivavoce: no note is open");
        } else if (!this.settings.token) {
            new Notice("Vivavoce: set a token in the settings first");
        } else if (this.running.has(view.file.path)) {
            new Notice("Vivavoce: this note is being answered");
        } else {
            void this.answer(view.file, view.editor);
        }
    }

    private stopActive(): void {
        const path = this.app.workspace.getActiveFile()?.path;
        if (path !== undefined) {
            this.running.get(path)?.abort();
        }
    }

    private async answer(file: TFile, editor: Editor): Promise<void> {
        const run = new AbortController();
        this.running.set(file.path, run);
        const note = new Note({
            get: () => editor.getValue(),
            edit: ({ from, to, text }) =>
                editor.replaceRange(text, editor.offsetToPos(from), editor.offsetToPos(to), "vivavoce"),
        });
        const { url, token, agent } = this.settings;
        const request = { filename: file.path, content: editor.getValue(), ...(agent ? { agent } : {}) };
        try {
            const ending = await chat(
                (url, init) => fetch(url, init),
                { url, token },
                request,
                (content) => note.show(content),
                run.signal,
            );
            if (ending.kind === "answered") {
                note.show(ending.content);
            } else if (ending.kind === "nothing") {
                new Notice(`Vivavoce: nothing to answer (${ending.reason})`);
            } else {
                new Notice(`Vivavoce: ${ending.detail}`, 10_000);
            }
            if (note.conflict) {
                new Notice("Vivavoce: you edited where the reply goes; the whole reply is in the file on disk", 10_000);
            }
        } catch (error) {
            const stopped = run.signal.aborted;
            new Notice(stopped ? "Vivavoce: stopped" : `Vivavoce: no answer from ${url} (${String(error)})`, 10_000);
        } finally {
            this.running.delete(file.path);
        }
    }
}

class SettingTab extends PluginSettingTab {
    constructor(
        app: App,
        private readonly plugin: VivavocePlugin,
    ) {
        super(app, plugin);
    }

    override display(): void {
        this.containerEl.empty();
        this.text("url", "Server", "Its address, without a path.", DEFAULTS.url);
        this.text("token", "Token", "Made by: vivavoce token create --scope messages", "");
        this.text("agent", "Agent", "Who answers; empty: as the note's frontmatter or the server says.", "default");
    }

    private text(key: keyof Settings, name: string, description: string, placeholder: string): void {
        new Setting(this.containerEl)
            .setName(name)
            .setDesc(description)
            .addText((input) => {
                input.inputEl.type = key === "token" ? "password" : "text";
                input
                    .setPlaceholder(placeholder)
                    .setValue(this.plugin.settings[key])
                    .onChange(async (value) => {
                        this.plugin.settings[key] = value.trim();
                        await this.plugin.saveData(this.plugin.settings);
                    });
            });
    }
}
