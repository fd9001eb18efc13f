// A Merkle tree with @openzeppelin/merkle-tree, asked as peers/answer.py is.
import { createInterface } from "node:readline";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";

let entries, built;
const grow = () => StandardMerkleTree.of(entries, ["bytes"]);
const tasks = {
  build: () => () => { built = grow(); return [1, built.root]; },
  prove: (asked) => () => { for (const index of asked) built.getProof(index); return [asked.length, null]; },
};
let count;
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  if (!entries) {
    count = asked;
    entries = Array.from({ length: asked.leaves }, (_, number) => ["0x" + number.toString(16).padStart(8, "0").repeat(25)]);
    console.log(JSON.stringify({ tasks: Object.keys(tasks) }));
    continue;
  }
  const places = Array.from({ length: 100 }, (_, number) => Math.floor(number * count.leaves / 100));
  const act = tasks[asked](places);
  const wall = performance.now(), cpu = process.cpuUsage();
  const [done, result] = act();
  const used = process.cpuUsage(cpu);
  const took = (performance.now() - wall) / 1e3;
  console.log(JSON.stringify({ cpu_s: (used.user + used.system) / 1e6, wall_s: took, count: done, result }));
}
