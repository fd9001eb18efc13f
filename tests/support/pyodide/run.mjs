// The page's Python under Node: `node run.mjs FOLDER check` answers lines of JSON with the page's answers;
// `node run.mjs FOLDER pytest MODULES ROOT PACKAGES ARGUMENT...` runs tests of the repository at ROOT.
// FOLDER is the page's folder, unpacked; MODULES the node_modules that it was built from; PACKAGES Python's packages.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, what, ...rest] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide/pyodide.mjs`).href);
const { hashing } = await import(pathToFileURL(`${folder}/hashing.js`).href);
// pytest needs more of Python's library than the page has.
const runtime = what === "check" ? `${folder}/pyodide/` : `${rest.shift()}/pyodide/`;
const python = await loadPyodide({ indexURL: runtime, packages: [], checkAPIVersion: true });
python.registerJsModule("millmark_hashing", hashing);
for (const [name, text] of Object.entries(JSON.parse(readFileSync(`${folder}/code.json`, "utf8")))) {
  const path = `/millmark/${name}`;
  python.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
  python.FS.writeFile(path, text);
}

async function check() {
  python.runPython("import sys; sys.path.insert(0, '/millmark'); import entry");
  const entry = python.pyimport("entry");
  for await (const line of createInterface({ input: process.stdin })) {
    const given = JSON.parse(line);
    const [bundle, trust] = [given.bundle, given.trust].map((text) =>
      python.toPy(Uint8Array.from(Buffer.from(text, "base64"))).tobytes(),
    );
    const days = given.days ?? 30;
    const answer = entry.check.callKwargs(bundle, trust, given.now, given.language ?? "en", days, {
      any_status: given.any ?? false,
    });
    process.stdout.write(`${answer}\n`);
  }
}

function pytest(root, packages, ...options) {
  const standIns = `${root}/tests/support/pyodide/stand_ins`;
  for (const [at, from] of [["/root", root], ["/packages", packages], ["/stand_ins", standIns]]) {
    python.FS.mkdirTree(at);
    python.FS.mount(python.FS.filesystems.NODEFS, { root: from }, at);
  }
  // The page's stand-ins for extension modules before anything else, the repository's ledger before the page's copy.
  python.runPython(`
import shutil, sys
for name in ("ledger", "entry.py"):
    (shutil.rmtree if name == "ledger" else __import__("os").remove)(f"/millmark/{name}")
sys.path[:0] = ["/millmark", "/stand_ins", "/root"]
sys.path.append("/packages")
import re, types
# What eth_abi and eth_utils import of extension modules, and encoding does not use.
sys.modules["regex"] = re
sys.modules["eth_utils.pydantic"] = types.ModuleType("eth_utils.pydantic")
sys.modules["eth_utils.pydantic"].CamelModel = object
import coincurve, pytest
# The page verifies signatures and makes none: a test that signs is skipped, and counted.
def sign(*_):
    pytest.skip("signs, which the page does not", allow_module_level=True)
coincurve.PrivateKey, coincurve.PublicKey.from_secret = sign, staticmethod(sign)
import os
os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'
os.environ['ETH_HASH_BACKEND'] = 'pysha3'
os.chdir("/root")
`);
  const main = python.pyimport("pytest").main;
  process.exitCode = Number(main(python.toPy(options)));
}

await (what === "check" ? check() : pytest(...rest));
