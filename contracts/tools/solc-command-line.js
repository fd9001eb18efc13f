"use strict";
// The command line of a native solc, as far as py-solc-x, slither and forge use it, in terms of standard JSON.

const fs = require("fs");
const path = require("path");

class UsageError extends Error {}

const FLAGS = ["version", "standard-json", "optimize", "via-ir", "no-cbor-metadata"];
const VALUES = ["combined-json", "optimize-runs", "evm-version", "metadata-hash", "base-path"];
const LISTS = ["include-path", "allow-paths"];

/** --combined-json names, and where standard JSON keeps them. */
const OUTPUTS = {
  abi: "abi",
  asm: "evm.legacyAssembly",
  bin: "evm.bytecode.object",
  "bin-runtime": "evm.deployedBytecode.object",
  devdoc: "devdoc",
  "function-debug": "evm.bytecode.functionDebugData",
  "function-debug-runtime": "evm.deployedBytecode.functionDebugData",
  "generated-sources": "evm.bytecode.generatedSources",
  "generated-sources-runtime": "evm.deployedBytecode.generatedSources",
  hashes: "evm.methodIdentifiers",
  metadata: "metadata",
  opcodes: "evm.bytecode.opcodes",
  srcmap: "evm.bytecode.sourceMap",
  "srcmap-runtime": "evm.deployedBytecode.sourceMap",
  "storage-layout": "storageLayout",
  userdoc: "userdoc",
};

const camelCase = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

/** Options by camel-cased name, positional `files`, and `remappings`. Throws UsageError on anything unknown. */
function parseArguments(argv) {
  const options = { files: [], remappings: [], includePath: [], allowPaths: [] };
  const queue = [...argv];
  while (queue.length) {
    const argument = queue.shift();
    const [, name, inline] = argument.match(/^--([^=]+)(?:=(.*))?$/s) || [];
    const takeValue = () => {
      const value = inline ?? queue.shift();
      if (value === undefined) throw new UsageError(`the required argument for option '--${name}' is missing`);
      return value;
    };
    if (argument === "-" || !argument.startsWith("-")) {
      (argument.includes("=") ? options.remappings : options.files).push(argument);
    } else if (FLAGS.includes(name) && inline === undefined) {
      options[camelCase(name)] = true;
    } else if (VALUES.includes(name)) {
      options[camelCase(name)] = takeValue();
    } else if (LISTS.includes(name)) {
      options[camelCase(name)].push(...takeValue().split(",").filter(Boolean));
    } else {
      throw new UsageError(`unrecognised option '${argument}'`);
    }
  }
  return options;
}

const isUnder = (file, root) => file === root || file.startsWith(root.endsWith(path.sep) ? root : root + path.sep);

/** What imports resolve against, in order: the base path, then each include path. */
const searchRoots = (options) => [options.basePath || ".", ...options.includePath].map((root) => path.resolve(root));

/** The import callback: search the roots; what is read must really lie under an allowed path. */
function importReader(options) {
  const roots = searchRoots(options);
  const sourceFolders = options.files.filter((file) => file !== "-").map(path.dirname);
  const targets = options.remappings.map((remapping) => remapping.slice(remapping.indexOf("=") + 1));
  const allowed = [...roots, ...options.allowPaths, ...sourceFolders, ...targets]
    .filter((root) => root && fs.existsSync(root))
    .map((root) => fs.realpathSync(root));
  return (name) => {
    const places = roots.map((root) => path.resolve(root, name.replace(/^file:\/\//, "")));
    const found = places.find((file) => fs.existsSync(file));
    if (!found) return { error: "File not found." };
    const real = fs.realpathSync(found);
    if (!allowed.some((root) => isUnder(real, root))) return { error: "File outside of allowed directories." };
    return { contents: fs.readFileSync(real, "utf8") };
  };
}

function buildSources(options) {
  const names = options.files.map((file) => {
    if (file === "-") return ["<stdin>", 0];
    const full = path.resolve(file);
    const root = searchRoots(options).find((candidate) => isUnder(full, candidate));
    return [root ? path.relative(root, full) : full, full];
  });
  return Object.fromEntries(names.map(([name, file]) => [name, { content: fs.readFileSync(file, "utf8") }]));
}

function buildInput(options, wanted) {
  const perContract = wanted.filter((name) => name !== "ast").map((name) => OUTPUTS[name]);
  const settings = {
    remappings: options.remappings,
    optimizer: { enabled: options.optimize === true, runs: Number(options.optimizeRuns || 200) },
    metadata: { appendCBOR: !options.noCborMetadata, bytecodeHash: options.metadataHash || "ipfs" },
    outputSelection: { "*": { "*": perContract, "": ["ast"] } },
  };
  if (options.viaIr) settings.viaIR = true;
  if (options.evmVersion) settings.evmVersion = options.evmVersion;
  return { language: "Solidity", sources: buildSources(options), settings };
}

const pick = (object, dotted) => dotted.split(".").reduce((value, key) => value?.[key], object);

/** Compiles positional files for --combined-json. Returns the output, messages for stderr, and whether it failed. */
function compileFiles(options, compile, version) {
  if (!options.combinedJson) throw new UsageError("choose --standard-json, --combined-json or --version");
  if (!options.files.length) throw new UsageError("no input files given");
  const wanted = options.combinedJson.split(",");
  const unknown = wanted.filter((name) => name !== "ast" && !(name in OUTPUTS));
  if (unknown.length) throw new UsageError(`Invalid option to --combined-json: ${unknown.join(",")}`);

  const result = JSON.parse(compile(JSON.stringify(buildInput(options, wanted))));
  const errors = result.errors || [];
  const messages = errors.map((error) => error.formattedMessage || error.message).join("\n");
  const output = { contracts: {}, sourceList: [], version };
  for (const [file, contracts] of Object.entries(result.contracts || {})) {
    for (const [name, contract] of Object.entries(contracts)) {
      const fields = wanted.filter((field) => field !== "ast").map((field) => [field, pick(contract, OUTPUTS[field])]);
      output.contracts[`${file}:${name}`] = Object.fromEntries(fields);
    }
  }
  for (const [file, source] of Object.entries(result.sources || {})) {
    output.sourceList[source.id] = file;
    if (wanted.includes("ast")) (output.sources ??= {})[file] = { AST: source.ast };
  }
  const failed = errors.some((error) => error.severity === "error");
  return { output: `${JSON.stringify(output)}\n`, messages, failed };
}

module.exports = { parseArguments, importReader, compileFiles, UsageError };
