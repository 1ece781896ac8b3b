/**
 * What the executable runs first: picks the program for the command and hands it the code that was compiled when the
 * executable was built. Compiling it at each start took twice the processor time of all else that `dcache get` does.
 *
 * V8 checks that code against the source, its own version and its settings, and compiles anew if they differ: that is
 * slower, and no different otherwise.
 */
const { getRawAsset } = require("node:sea")
const { Script } = require("node:vm")

/** The build puts the list in. */
const name = SMALL_COMMANDS.includes(process.argv[2]) ? "small" : "whole"
// The bundler writes ASCII, so that this is a string of one byte a character.
const source = Buffer.from(getRawAsset(`${name}.js`)).latin1Slice()
const script = new Script(source, {
  filename: `dcache/${name}.js`,
  cachedData: Buffer.from(getRawAsset(`${name}.code`)),
})
script.runInThisContext()(require)
