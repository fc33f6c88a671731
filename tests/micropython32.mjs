// Runs a script under the MicroPython build for Node, whose words have 32 bits and whose small integers 31, as on the chip.
//
//   node micropython32.mjs HEAP SCRIPT FILE...
//
// Files go to / under their own names. That build has no native code, so Python files lose their viper decorators here: the
// same source runs as bytecode, where ptr8, ptr16 and ptr32 are what they are given.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { loadMicroPython } from "@micropython/micropython-webassembly-pyscript/micropython.mjs";

const [heap, script, ...files] = process.argv.slice(2);
const micropython = await loadMicroPython({ heapsize: Number(heap), stdout: (line) => console.log(line) });
for (const file of files) {
  const text = readFileSync(file, "utf8");
  micropython.FS.writeFile("/" + basename(file), text.replace(/^@micropython\.(viper|native)$/gm, ""));
}
micropython.runPython(`
import builtins, sys
builtins.ptr8 = builtins.ptr16 = builtins.ptr32 = lambda it: it
builtins.uint = lambda it: it & 0xFFFFFFFF
sys.path.insert(0, "/")
assert sys.maxsize == (1 << 31) - 1
`);
try {
  micropython.runPython(readFileSync(script, "utf8"));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
