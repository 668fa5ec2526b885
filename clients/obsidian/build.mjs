// `node build.mjs`: build/main.js and build/manifest.json, which are the plugin. `node build.mjs tests`: the
// tests, as node runs them.

import { copyFile, mkdir, readdir } from "node:fs/promises";
import { build } from "esbuild";

if (process.argv[2] === "tests") {
    const files = (await readdir("tests")).filter((name) => name.endsWith(".test.ts"));
    await build({
        entryPoints: files.map((name) => `tests/${name}`),
        outdir: "build/tests",
        outExtension: { ".js": ".mjs" },
        bundle: true,
        platform: "node",
        format: "esm",
        target: "node20",
    });
} else {
    await mkdir("build", { recursive: true });
    await build({
        entryPoints: ["src/main.ts"],
        outfile: "build/main.js",
        bundle: true,
        // Obsidian brings itself and its editor.
        external: ["obsidian"],
        format: "cjs",
        target: "es2022",
    });
    await copyFile("manifest.json", "build/manifest.json");
}
