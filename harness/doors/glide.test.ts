/** Valkey GLIDE at the Redis door of real nodes. It brings native parts, so it lies in a package of its own, as frameworks do for the adapters. */
import { equal, match } from "node:assert/strict"
import path from "node:path"
import { test } from "node:test"
import { install, run } from "../adapters/project.ts"
import { NodeBench } from "../cluster/node-bench.ts"

const folder = path.join(import.meta.dirname, "clients")

test("Valkey GLIDE, without its cluster mode", { timeout: 420_000 }, async context => {
  install(folder)
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "first" }, { name: "second" })
  await bench.complete(nodes)
  const ports = nodes.map(({ process }) => process.address.split(":").at(-1) ?? "")
  const { status, output } = await run([process.execPath, "glide.mjs", ...ports], { cwd: folder, env: {} })
  equal(status, 0, output)
  match(output, /^glide: done$/m)
})
