// `node memory.mjs FOLDER IMAGE TARGET`: starts the unpacked page in FOLDER, runs IMAGE, and writes its memory to
// TARGET, for page/python.js to put back. The same bytes each time: clock and chance stand still, and the runtime packs
// it itself.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, image, target] = process.argv.slice(2);
const MOMENT_MS = 315532800000; // 1980-01-01
Date.now = () => MOMENT_MS;
performance.now = () => 0;
Math.random = () => 0;
crypto.getRandomValues = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).fill(0) && view;
Object.defineProperty(globalThis, "navigator", { value: undefined, configurable: true });

const load = (name) => import(pathToFileURL(`${folder}/${name}`).href);
const { default: createModule } = await load("pyodide/pyodide.asm.mjs");
const { hashing } = await load("hashing.js");
const { startPython } = await load("python.js");
let data;
const { python } = await startPython(`${folder}/pyodide/`, null, () => readFileSync(`${folder}/code.json`, "utf8"), {
  _makeSnapshot: true,
  _sysExecutable: "/python",
  // No seed, texts of documentation, or columns of code: what a check needs is smaller without.
  env: { LANG: "C.UTF-8", PYTHONHASHSEED: "0", PYTHONNODEBUGRANGES: "1", PYTHONOPTIMIZE: "2" },
  createPyodideModule: (settings) => {
    settings.preRun.unshift((module) => (data = module.HEAPU8.slice()));
    return createModule(settings);
  },
});
python.runPython(readFileSync(image, "utf8"));
const module = python._module;

// What was freed still has its old content. Taking all of it, and giving it back, leaves zeros.
function clearFreed() {
  const [end, taken] = [module._sbrk(0), []];
  const info = module._calloc(1, 64);
  module._mallinfo(info);
  const free = module.HEAP32[(info >> 2) + 8];
  module._free(info);
  for (let bytes = free; bytes >= 16; bytes = bytes > 4096 ? Math.floor(bytes * 0.97) & ~7 : bytes - 8) {
    for (;;) {
      const one = module._calloc(1, bytes - 4);
      if (one >= end) {
        module._free(one);
        break; // there was no such piece: malloc asked for more memory
      }
      taken.push(one);
    }
  }
  for (const one of taken) module._free(one);
  module.HEAPU8.fill(0, module._emscripten_stack_get_end(), module.stackSave());
}

clearFreed();
const names = new Map(Object.entries(hashing).map(([name, one]) => [one, name]));
names.set(hashing, "");
const snapshot = python.makeMemorySnapshot({
  serializer: (one) => {
    if (!names.has(one)) throw new Error(`Python holds something that the page cannot give it again: ${one}`);
    return names.get(one);
  },
});
const [, start, length] = new Uint32Array(snapshot.buffer, 0, 3);
const references = JSON.parse(new TextDecoder().decode(snapshot.subarray(48, 48 + length)));
const memory = snapshot.slice(start);
const at = (module.__PyRuntime + module.HEAP32[module.__PyEM_EMSCRIPTEN_TRAMPOLINE_OFFSET >> 2]) >> 2;
for (const one of [memory, data]) new Uint32Array(one.buffer)[at] = 0;
const low = module._emscripten_stack_get_end();
const high = module.stackSave();
const end = module._sbrk(0);
const kept = new Uint8Array(low + end - high);
for (let one = 0; one < low; one++) kept[one] = memory[one] ^ data[one];
kept.set(memory.subarray(high, end), low);
if (memory.subarray(end).some((one) => one)) throw new Error("something lies beyond the memory in use");

// By the runtime's own liblzma: that of a system would give other bytes in another version.
function pack(content) {
  const [id, none, mostly] = [0x21n, 2n ** 64n - 1n, content.length + 2 ** 16];
  const [options, filters, at] = [128, 32, 4].map((bytes) => module._calloc(1, bytes));
  const [given, room] = [module._malloc(content.length), module._malloc(mostly)];
  module._lzma_lzma_preset(options, (6 | (1 << 31)) >>> 0); // LZMA_PRESET_EXTREME
  // Of memory, whose words have four bytes: the position in the word says more than the byte before.
  module.HEAPU32.set([1, 2, 2], (options + 12) >> 2);
  module.HEAPU64.set([id], filters >> 3);
  module.HEAPU32[(filters + 8) >> 2] = options;
  module.HEAPU64.set([none], (filters + 16) >> 3);
  module.HEAPU8.set(content, given);
  const code = module._lzma_stream_buffer_encode(filters, 4, 0, given, content.length, room, at, mostly);
  if (code !== 0) throw new Error(`the memory cannot be packed: ${code}`);
  return module.HEAPU8.slice(room, room + module.HEAPU32[at >> 2]);
}

const head = new TextEncoder().encode(
  JSON.stringify({ build: python._api.config.BUILD_ID, low, high, end, references }),
);
const size = new Uint8Array(4);
new DataView(size.buffer).setUint32(0, head.length, true);
writeFileSync(target, Buffer.concat([size, head, pack(kept)]));
