/**
 * Puts a program into a copy of Node.js. The packager's programming interface, because its command line cannot
 * pass the settings of a single executable application; and its mode for those, because its own format needs patched
 * builds of Node.js that it would have to download.
 */
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import path from "node:path"

/** The starter lies in the folder for temporary files, `TMPDIR`. */
const { starter, base, output, assets } = JSON.parse(process.argv[2] ?? "")
const require = createRequire(import.meta.url)

await require("@yao-pkg/pkg/lib-es5/sea").default(starter, {
  nodePath: base,
  signature: false,
  targets: [{ nodeRange: "node24", platform: "linux", arch: "x64", output }],
  seaConfig: {
    // The result keeps this path for its stack traces. Relative, because two builds of one source should be the same, byte
    // for byte, wherever they are made; to the packager's temporary folder, because that is where it is read.
    main: path.relative(path.join(tmpdir(), "any"), starter),
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    // It would hold what the starter is made of alone; `compile.cjs` makes that of the program, the same bytes each time.
    useCodeCache: false,
    execArgvExtension: "env",
    assets,
  },
})
