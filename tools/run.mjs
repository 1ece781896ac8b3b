/** `node tools/run.mjs SCRIPT.ts ARGUMENT...`: runs a TypeScript file of this repository, set-up included. */
import path from "node:path"
import { root, setUp } from "./setup.mjs"

await setUp()
const [script = "", ...args] = process.argv.slice(2)
process.argv = [process.argv[0], path.resolve(root, script), ...args]
await import(process.argv[1])
