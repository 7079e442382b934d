// Puts the page together in dist/: static files that work from any host and any folder.

import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

process.chdir(path.dirname(fileURLToPath(import.meta.url)));
await rm("dist", { recursive: true, force: true });
await mkdir("dist/models", { recursive: true });
await build({
  entryPoints: { page: "src/page.js", worker: "src/worker.js" },
  bundle: true,
  minify: true,
  format: "iife", // LiteRT loads its parts by importScripts, which only a classic worker has
  target: "es2022",
  outdir: "dist",
  logLevel: "warning",
  define: { "process.env.NODE_ENV": '"production"' },
});
for (const name of ["index.html", "style.css"]) await cp(`src/${name}`, `dist/${name}`);

const wasm = "node_modules/@tensorflow/tfjs-backend-wasm/dist";
for (const name of await readdir(wasm)) {
  if (name.endsWith(".wasm")) await cp(`${wasm}/${name}`, `dist/tensorflow/${name}`);
}
const litert = "node_modules/@litertjs/core/wasm";
for (const name of await readdir(litert)) {
  // Beside the worker, where the engine looks for its WebAssembly. It needs neither threads nor stack switching.
  if (/^litert_wasm_(compat_)?internal\./.test(name)) await cp(`${litert}/${name}`, `dist/${name}`);
}

const names = existsSync("models") ? await readdir("models") : [];
const copies = names.filter((name) => existsSync(`models/${name}/manifest.json`));
// The URL parser first: it is what the page shows when it is opened.
copies.sort((a, b) => (b === "urlparse") - (a === "urlparse") || a.localeCompare(b));
for (const name of copies) {
  await cp(`models/${name}`, `dist/models/${name}`, {
    recursive: true,
    filter: (source) => path.basename(source) !== "saved_model",
  });
}
await writeFile("dist/models/index.json", JSON.stringify(copies));
console.log(`dist/ has the page with ${copies.length ? copies.join(", ") : "no copy: python -m urlseq export --all"}`);
