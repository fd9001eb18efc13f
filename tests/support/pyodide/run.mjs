// The page's Python under Node: `node run.mjs FOLDER check` answers lines of JSON with the page's answers, after one
// that says why it could not start from its memory, if it could not;
// `node run.mjs FOLDER pytest WHOLE ROOT PACKAGES ARGUMENT...` runs tests of the repository at ROOT.
// FOLDER is the page's folder, unpacked; WHOLE the packed files as published; PACKAGES Python's packages.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, what, ...rest] = process.argv.slice(2);
const { startPython } = await import(pathToFileURL(`${folder}/python.js`).href);
// pytest needs more of Python's library than the page has; and the page's memory is for checks alone.
const runtime = what === "pytest" ? `${rest.shift()}/pyodide/` : `${folder}/pyodide/`;
const memory = async () => new Uint8Array(readFileSync(`${folder}/memory.bin`)).buffer;
const code = async () => readFileSync(`${folder}/code.json`, "utf8");
const kept = await import(pathToFileURL(`${folder}/kept.js`).href);
const { python, slow } = await startPython(runtime, what === "check" && kept.memory ? memory : null, code);

async function check() {
  const entry = python.pyimport("entry");
  process.stdout.write(`${JSON.stringify({ slow })}\n`);
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
  const own = ["ledger", "quality", "services"].map((name) => [`/names/millmark/${name}`, `${root}/${name}`]);
  for (const [at, from] of [["/root", root], ["/packages", packages], ["/stand_ins", standIns], ...own]) {
    python.FS.mkdirTree(at);
    python.FS.mount(python.FS.filesystems.NODEFS, { root: from }, at);
  }
  python.FS.writeFile("/names/millmark/__init__.py", "");
  // The page's stand-ins for extension modules before anything else, the repository's ledger before the page's copy.
  python.runPython(`
import shutil, sys
for name in ("millmark", "entry.py", "secrets.py"):
    (shutil.rmtree if name == "millmark" else __import__("os").remove)(f"/millmark/{name}")
# The page's own are loaded by now: what is imported from here on is to be the repository's.
for name in [one for one in sys.modules if one.split(".")[0] in ("millmark", "entry", "secrets")]:
    del sys.modules[name]
sys.path[:0] = ["/millmark", "/stand_ins", "/names", "/root"]
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

await (what === "pytest" ? pytest(...rest) : check());
