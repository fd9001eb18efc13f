// Runs the verifier apart from the page: Python and Millmark's own code, loaded from this folder and from nowhere else.
import { memory } from "./kept.js";
import { startPython } from "./python.js";

const HERE = new URL("./", import.meta.url);
const load = globalThis.fetch.bind(globalThis);
const WASM = "pyodide/pyodide.asm.wasm";

async function loaded(name) {
  const answer = await load(new URL(name, HERE), { credentials: "omit" });
  if (!answer.ok) throw new Error(`${name} cannot be loaded: status ${answer.status}`);
  return answer;
}

// The runtime lies packed in the folder, so that any host serves it in its small form.
async function runtime() {
  const answer = await loaded(`${WASM}.gz`);
  const headers = { "Content-Type": "application/wasm" };
  return new Response(answer.body.pipeThrough(new DecompressionStream("gzip")), { headers });
}

async function start() {
  globalThis.fetch = (url) => {
    const name = new URL(url, HERE).href.slice(HERE.href.length);
    return name === WASM ? runtime() : loaded(name);
  };
  const found = await startPython(
    new URL("pyodide/", HERE).href,
    memory ? () => loaded("memory.bin").then((answer) => answer.arrayBuffer()) : null,
    () => loaded("code.json").then((answer) => answer.text()),
  );
  // From here on nothing can be asked of any server.
  globalThis.fetch = () => Promise.reject(new Error("the verifier loads nothing"));
  globalThis.XMLHttpRequest = undefined;
  globalThis.WebSocket = undefined;
  globalThis.EventSource = undefined;
  return found;
}

const started = start();
started.then(
  ({ python, slow }) => postMessage({ ready: true, slow, python: python.runPython("import sys; sys.version.split()[0]") }),
  (error) => postMessage({ failed: String(error) }),
);

onmessage = async ({ data }) => {
  const { python } = await started;
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
