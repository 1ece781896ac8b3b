/**
 * Stands in for cbor-extract, the optional native add-on of cbor-x. A native add-on cannot be bundled into one
 * executable, some registries lack its prebuilt packages (`npm ci` then fails), and for messages of our size the
 * decoder in JavaScript is as fast. cbor-x catches the error and goes on without it.
 */
throw new Error("cbor-extract is left out on purpose")
