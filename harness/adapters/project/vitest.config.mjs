export default { test: { include: ["programs/*-suite.test.mjs"], fileParallelism: false, reporters: ["dot", "json"] } }
