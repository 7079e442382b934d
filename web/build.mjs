// node build.mjs [MODELS] [OUT]: builds the page in dist/: static files that work from any host and any folder.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const [models, out] = [process.argv[2] ?? "models", process.argv[3] ?? "dist"].map((name, index) =>
  process.argv[2 + index] ? path.resolve(name) : name,
);
process.chdir(path.dirname(fileURLToPath(import.meta.url)));
await rm(out, { recursive: true, force: true });
await mkdir(`${out}/models`, { recursive: true });

const bundle = (name, source, more = {}) => build({
  entryPoints: { [name]: source },
  bundle: true,
  minify: true,
  format: "iife", // LiteRT loads its parts by importScripts, which only a classic worker has
  target: "es2022",
  outdir: out,
  logLevel: "warning",
  define: { "process.env.NODE_ENV": '"production"', ...more.define },
  alias: more.alias,
  loader: { ".html": "text" },
  plugins: [{
    name: "without threads",
    setup: (made) => made.onLoad({ filter: /threaded-simd(\.worker)?\.js$/ }, () => ({ contents: "export default 0; export const wasmWorkerContents = 0;" })),
  }],
});
await bundle("page", "src/page.js");
const forms = { tensorflow: "tensorflowjs", litert: "litert" };
for (const [engine, form] of Object.entries(forms)) {
  await bundle(engine, "src/worker.js", { alias: { engine: `./src/${engine}.js` }, define: { FORM: JSON.stringify(form) } });
}
await bundle("plain", "@tensorflow/tfjs-backend-cpu"); // for tensorflow.js where there is no WebAssembly
for (const name of ["learn_page", "learn_worker", "learn_function"]) await bundle(name, `src/${name}.js`);
for (const name of ["style.css", "learn.css", "replay.json"]) await cp(`src/${name}`, `${out}/${name}`);

// Beside the workers. Neither engine needs threads or stack switching.
const wasm = { "@tensorflow/tfjs-backend-wasm/dist": /^tfjs-backend-wasm(-simd)?\.wasm$/, "@litertjs/core/wasm": /^litert_wasm_(compat_)?internal\./ };
for (const [folder, pattern] of Object.entries(wasm)) {
  for (const name of await readdir(`node_modules/${folder}`)) {
    if (pattern.test(name)) await cp(`node_modules/${folder}/${name}`, `${out}/${name}`);
  }
}

const names = existsSync(models) ? await readdir(models) : [];
const leftover = /\.\d+\.(part|old)$/; // an export's temporary folders
const copies = names.filter((name) => !leftover.test(name) && existsSync(`${models}/${name}/manifest.json`));
// The URL parser first: it is what the page shows when it is opened.
copies.sort((a, b) => (b === "urlparse") - (a === "urlparse") || a.localeCompare(b));
const parts = new Set(["", "manifest.json", ...Object.values(forms)]); // the page needs no more of an export
for (const name of copies) {
  const folder = `${models}/${name}`;
  await cp(folder, `${out}/models/${name}`, {
    recursive: true,
    filter: (source) => parts.has(path.relative(folder, source).split(path.sep)[0]),
  });
}

const files = (await readdir(out, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => path.relative(out, path.join(entry.parentPath ?? entry.path, entry.name)))
  .sort();
const addressOf = (file) => file.split(path.sep).map(encodeURIComponent).join("/");
const small = files.filter((file) => !file.includes("litert")); // LiteRT is several times as much as all the rest
// What the first answer takes, so that it is asked for before the scripts are there that need it.
const first = ["tfjs-backend-wasm-simd.wasm", ...small.filter((file) => file.startsWith(path.join("models", copies[0] ?? "", "/")))];
const source = await readFile("src/index.html", "utf8");
const hash = (data) => createHash("sha256").update(data);
const inline = hash(/<script>(.*?)<\/script>/s.exec(source)[1]).digest("base64");
const html = source
  .replace('data-copies="" data-first=""', `data-copies="${copies.map(addressOf).join(" ")}" data-first="${first.map(addressOf).join(" ")}"`)
  .replace("script-src 'self'", `script-src 'self' 'sha256-${inline}'`);
await writeFile(`${out}/index.html`, html);

// Without a connection, TensorFlow.js answers.
const contents = await Promise.all(files.map((file) => readFile(`${out}/${file}`)));
const version = hash(Buffer.concat([Buffer.from(html), ...contents])).digest("hex").slice(0, 16);
const kept = ["./", "index.html", ...small.map(addressOf)];
await bundle("sw", "src/sw.js", { define: { FILES: JSON.stringify(kept), VERSION: JSON.stringify(version) } });
console.log(`${out} has the page with ${copies.join(", ") || "no copy: python -m urlseq export urlparse"}`);
