// The page without a connection: what the last visit loaded answers where the network does not. Online, everything comes
// from the network, so a new deployment is taken up at once. The build fills in FILES, and VERSION, a hash of them all.

const cached = caches.open(VERSION);

self.addEventListener("install", (event) => {
  self.skipWaiting();
  // All of them or none; past the browser's own cache, which may have files of an earlier deployment.
  event.waitUntil(cached.then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })))));
});

self.addEventListener("activate", (event) => {
  const others = caches.keys().then((names) => names.filter((name) => name !== VERSION));
  event.waitUntil(others.then((names) => Promise.all(names.map((name) => caches.delete(name)))));
});

self.addEventListener("fetch", (event) => {
  const stored = async () => (await cached).match(event.request, { ignoreSearch: true });
  event.respondWith(fetch(event.request).catch(async (error) => (await stored()) ?? Promise.reject(error)));
});
