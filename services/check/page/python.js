// Starts Python with the verifier in it. The build may have kept the memory of a Python that had just started
// (memory.bin): put back into a new one, nothing has to be read, compiled or run again. Where there is none, or that
// fails, Python starts from its sources.
import { loadPyodide } from "./pyodide/pyodide.mjs";
import createModule from "./pyodide/pyodide.asm.mjs";
import { hashing } from "./hashing.js";

const PIECE = 2 ** 18;
const FINISHED = 1; // LZMA_STREAM_END
const STREAM_BYTES = 88; // lzma_stream, with pointers of 4 bytes

// Unpacks with the liblzma that is part of Python's runtime, before Python itself runs.
function unpack(module, packed, size) {
  const [given, piece, stream] = [packed.length, PIECE, STREAM_BYTES].map((bytes) => module._calloc(1, bytes));
  const [nextIn, availIn, nextOut, availOut] = [0, 4, 16, 20].map((at) => (stream + at) >> 2);
  module.HEAPU8.set(packed, given);
  let code = module._lzma_stream_decoder(stream, 2n ** 62n, 0);
  module.HEAPU32[nextIn] = given;
  module.HEAPU32[availIn] = packed.length;
  const found = new Uint8Array(size);
  let at = 0;
  while (code === 0) {
    module.HEAPU32[nextOut] = piece;
    module.HEAPU32[availOut] = PIECE;
    code = module._lzma_code(stream, 0);
    const bytes = PIECE - module.HEAPU32[availOut];
    found.set(module.HEAPU8.subarray(piece, piece + bytes), at);
    at += bytes;
  }
  if (code !== FINISHED || at !== size) throw new Error(`the memory cannot be unpacked: ${code}`);
  return found;
}

// Where the address of a helper stands that not every browser can have: it is each browser's own.
const trampoline = (module) =>
  (module.__PyRuntime + module.HEAP32[module.__PyEM_EMSCRIPTEN_TRAMPOLINE_OFFSET >> 2]) >> 2;

// The memory that was kept: what lies below `low` as its difference from the runtime's own data, then from `high` on.
function restore(module, data, head, packed) {
  const { low, high, end } = head;
  const kept = unpack(module, packed, low + end - high);
  const own = module.HEAP32[trampoline(module)];
  const [words, before] = [new Uint32Array(kept.buffer, 0, low / 4), new Uint32Array(data.buffer)];
  for (let at = 0; at < words.length; at++) words[at] ^= before[at];
  module.HEAPU8.fill(0);
  module.HEAPU8.set(kept.subarray(0, low));
  module.HEAPU8.set(kept.subarray(low), high);
  module.HEAP32[trampoline(module)] = own;
  return head.references;
}

function opened(content) {
  const size = new DataView(content).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 4, size)));
  return { head, packed: new Uint8Array(content, 4 + size) };
}

async function startFromMemory(options, content) {
  return loadPyodide({
    ...options,
    stdLibURL: `${options.indexURL}pyodide-lock.json`, // nothing is imported any more: any small file serves
    _loadSnapshot: content,
    _snapshotDeserializer: (name) => (name ? hashing[name] : hashing),
    createPyodideModule: async (settings) => {
      const { head, packed } = opened(await content);
      let data;
      settings.preRun.unshift((module) => (data = module.HEAPU8.slice(0, head.low)));
      const module = await createModule(settings);
      if (head.build !== module.API.config.BUILD_ID) throw new Error("the memory is that of another Python");
      module.API.restoreSnapshot = () => restore(module, data, head, packed);
      return module;
    },
  });
}

async function startFromSources(options, code) {
  const python = await loadPyodide(options);
  for (const [name, text] of Object.entries(JSON.parse(code))) {
    const path = `/millmark/${name}`;
    python.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    python.FS.writeFile(path, text);
  }
  python.registerJsModule("millmark_hashing", hashing);
  python.runPython("import sys; sys.path.insert(0, '/millmark'); import entry");
  return python;
}

// `indexURL`: the runtime's folder; `memory` and `code` read the two files; without `memory` there is none. Returns
// Python, and why its memory could not be used, if it could not. `more` is for the build.
export async function startPython(indexURL, memory, code, more = {}) {
  const options = { indexURL, packages: [], checkAPIVersion: true, ...more };
  let slow = null;
  if (memory) {
    try {
      return { python: await startFromMemory(options, memory()), slow };
    } catch (error) {
      slow = String(error);
    }
  }
  return { python: await startFromSources(options, await code()), slow };
}
