/**
 * `node --random-seed=1 tools/compile.cjs FOLDER NAME`: of the program NAME.cjs makes what `starter.cjs` runs, NAME.js, a
 * function of what it may require, and NAME.code, all of its functions as V8 compiles them.
 *
 * V8 lays compiled code out by the hashes of strings, which differ from process to process. Two builds of one source should
 * be the same, byte for byte, hence the seed: the one setting in this that V8 does not compare when the code is loaded.
 */
const { readFileSync, writeFileSync } = require("node:fs")
const path = require("node:path")
const { setFlagsFromString } = require("node:v8")
const { Script } = require("node:vm")

const [, , folder, name] = process.argv
const file = extension => path.join(folder, `${name}.${extension}`)

const program = readFileSync(file("cjs"), "latin1").replace(/^#!.*\n/, "")
const source = `(function (require) {const module = {exports: {}}, exports = module.exports;${program}\n})`
setFlagsFromString("--no-lazy")
const script = new Script(source, { filename: `dcache/${name}.js` })
// Back to what it will be when the code is loaded, for V8 does compare this one.
setFlagsFromString("--lazy")
writeFileSync(file("js"), source, "latin1")
writeFileSync(file("code"), script.createCachedData())
