// node build.mjs [MODELS] [OUT]: builds the page in dist/: static files that work from any host and any folder.

import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const [models, out] = [process.argv[2] ?? "models", process.argv[3] ?? "dist"].map((name, index) =>
  process.argv[2 + index] ? path.resolve(name) : name,
);
process.chdir(path.dirname(fileURLToPath(import.meta.url)));
await rm(out, { recursive: true, force: true });
await mkdir(`${out}/models`, { recursive: true });
await build({
  entryPoints: { page: "src/page.js", worker: "src/worker.js" },
  bundle: true,
  minify: true,
  format: "iife", // LiteRT loads its parts by importScripts, which only a classic worker has
  target: "es2022",
  outdir: out,
  logLevel: "warning",
  define: { "process.env.NODE_ENV": '"production"' },
});
for (const name of ["index.html", "style.css"]) await cp(`src/${name}`, `${out}/${name}`);

const wasm = "node_modules/@tensorflow/tfjs-backend-wasm/dist";
for (const name of await readdir(wasm)) {
  if (name.endsWith(".wasm")) await cp(`${wasm}/${name}`, `${out}/tensorflow/${name}`);
}
const litert = "node_modules/@litertjs/core/wasm";
for (const name of await readdir(litert)) {
  // In the worker's folder, where the engine looks for its WebAssembly. It needs neither threads nor stack switching.
  if (/^litert_wasm_(compat_)?internal\./.test(name)) await cp(`${litert}/${name}`, `${out}/${name}`);
}

const names = existsSync(models) ? await readdir(models) : [];
const leftover = /\.\d+\.(part|old)$/; // an export's temporary folders
const copies = names.filter((name) => !leftover.test(name) && existsSync(`${models}/${name}/manifest.json`));
// The URL parser first: it is what the page shows when it is opened.
copies.sort((a, b) => (b === "urlparse") - (a === "urlparse") || a.localeCompare(b));
for (const name of copies) {
  await cp(`${models}/${name}`, `${out}/models/${name}`, {
    recursive: true,
    filter: (source) => path.basename(source) !== "saved_model",
  });
}
await writeFile(`${out}/models/index.json`, JSON.stringify(copies));
console.log(`${out} has the page with ${copies.join(", ") || "no copy: python -m urlseq export urlparse"}`);
