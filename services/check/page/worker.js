// Runs the verifier apart from the page: Python and Millmark's own code, loaded from this folder and from nowhere else.
import { loadPyodide } from "./pyodide/pyodide.mjs";
import { hashing } from "./hashing.js";

const HERE = new URL("./", import.meta.url);
const load = globalThis.fetch.bind(globalThis);
const MEDIA = { wasm: "application/wasm", json: "application/json", zip: "application/zip" };

// Large files lie packed in the folder, so that any host serves them in their small form.
async function unpacked(name) {
  const answer = await load(new URL(`${name}.gz`, HERE), { credentials: "omit" });
  if (!answer.ok) throw new Error(`${name} cannot be loaded: status ${answer.status}`);
  const media = MEDIA[name.split(".").pop()] ?? "application/octet-stream";
  return new Response(answer.body.pipeThrough(new DecompressionStream("gzip")), { headers: { "Content-Type": media } });
}

async function start() {
  globalThis.fetch = (url) => unpacked(new URL(url, HERE).href.slice(HERE.href.length));
  const [python, code] = await Promise.all([
    loadPyodide({ indexURL: new URL("pyodide/", HERE).href, packages: [], checkAPIVersion: true }),
    unpacked("code.json").then((answer) => answer.json()),
  ]);
  // From here on nothing can be asked of any server.
  globalThis.fetch = () => Promise.reject(new Error("the verifier loads nothing"));
  globalThis.XMLHttpRequest = undefined;
  globalThis.WebSocket = undefined;
  globalThis.EventSource = undefined;
  for (const [name, text] of Object.entries(code)) {
    const path = `/millmark/${name}`;
    python.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    python.FS.writeFile(path, text);
  }
  python.registerJsModule("millmark_hashing", hashing);
  python.runPython("import sys; sys.path.insert(0, '/millmark'); import entry");
  return python;
}

const started = start();
started.then(
  (python) => postMessage({ ready: true, python: python.runPython("import sys; sys.version.split()[0]") }),
  (error) => postMessage({ failed: String(error) }),
);

onmessage = async ({ data }) => {
  const python = await started;
  const entry = python.pyimport("entry");
  try {
    const [bundle, trust] = [data.bundle, data.trust].map((bytes) => python.toPy(bytes).tobytes());
    const answer = entry.check.callKwargs(bundle, trust, data.now, data.language, data.days, { any_status: data.any });
    postMessage({ id: data.id, answer: JSON.parse(answer) });
  } catch (error) {
    postMessage({ id: data.id, broken: String(error) });
  } finally {
    entry.destroy();
  }
};
