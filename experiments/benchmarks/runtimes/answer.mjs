// One runtime's answers: node answer.mjs PACKAGE MODEL.onnx PIXELS.f32 ANSWERS.f32 AT_ONCE HEIGHT WIDTH, in the folder
// whose node_modules holds the package. The files are float32 without a header.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [name, model, pixels, answers, atOnce, height, width] = process.argv.slice(2);
const require = createRequire(join(process.cwd(), "package.json"));
const ort = require(name);
console.log(JSON.parse(readFileSync(join("node_modules", name, "package.json"))).version);

if (name === "onnxruntime-web") ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)));
const given = new Float32Array(new Uint8Array(readFileSync(pixels)).buffer);
const size = height * width;
const step = Number(atOnce) || given.length / size;
const found = [];
for (let first = 0; first < given.length / size; first += step) {
  const part = given.subarray(first * size, (first + step) * size);
  const tensor = new ort.Tensor("float32", part, [part.length / size, Number(height), Number(width)]);
  found.push(...(await session.run({ pixels: tensor })).log_probabilities.data);
}
writeFileSync(answers, new Uint8Array(Float32Array.from(found).buffer));
process.exit(0);
