import { createRequire } from "node:module"
import path from "node:path"

/** Nothing is kept in the instances themselves, so that what is shown is what the shared cache holds. */
export default {
  cacheHandler: createRequire(import.meta.url).resolve("dcache/next"),
  cacheMaxMemorySize: 0,
  // The package lies in the project around this one.
  turbopack: { root: path.dirname(import.meta.dirname) },
}
