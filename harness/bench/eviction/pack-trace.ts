/** `node harness/bench/eviction/pack-trace.ts NAME.load.gz OUTPUT`: how the files in `traces` were made. */
import { readFileSync, writeFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { packTrace, parseLoad } from "./block-trace.ts"

const [input, output] = process.argv.slice(2)
if (input === undefined || output === undefined) {
  console.error("usage: pack-trace.ts NAME.load.gz OUTPUT")
  process.exit(2)
}
writeFileSync(output, packTrace(parseLoad(gunzipSync(readFileSync(input)).toString("latin1"))))
