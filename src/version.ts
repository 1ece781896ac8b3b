/** The version of this build, as package.json states it. The bundler inlines the file. */
import manifest from "../package.json" with { type: "json" }

export const version: string = manifest.version
