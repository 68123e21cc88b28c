// Runs the test files it is given, each in a process of its own and four at once, and prints what each says when it ends. They drive real
// browsers against the clock, and a shared machine may be taken away for seconds in the middle of one. So a file with a failure runs once
// more, alone, and must pass then; both runs are in the output. There is no second try when more than a few failed: that is not the machine.
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

const atOnce = 4;
const fewFiles = 3;

const total = { tests: 0, pass: 0, fail: 0, skipped: 0, cancelled: 0, todo: 0 };

/** Runs one file and resolves with whether it passed. */
async function passes(file) {
  const child = spawn("node", ["--test", "--test-reporter=spec", file], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  const said = [`\n${file}`];
  for (const line of (await text(child.stdout)).split("\n")) {
    const figure = /^ℹ (\w+) ([\d.]+)$/.exec(line);
    if (!figure) said.push(line);
    else if (figure[1] in total) total[figure[1]] += Number(figure[2]);
  }
  console.log(said.join("\n").trimEnd());
  return (await ended) === 0;
}

/** Runs files and resolves with those that did not pass. */
async function attempt(files, concurrency) {
  const waiting = [...files];
  const failed = [];
  const work = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) if (!(await passes(file))) failed.push(file);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return failed;
}

const files = process.argv.slice(2);
let failed = await attempt(files, atOnce);
if (failed.length > 0 && failed.length <= fewFiles) {
  console.log(`\nonce more, alone: ${failed.join(" ")}`);
  failed = await attempt(failed, 1);
}
console.log(`\n${Object.entries(total).map(([what, n]) => `${n} ${what}`).join(", ")}`);
if (process.env.CI === "true" && total.skipped > 0) console.log("FAIL: tests were skipped, and CI=true");
if (total.tests === 0) console.log("FAIL: there are no tests");
if (failed.length > 0) console.log(`FAIL: ${failed.join(" ")}`);
process.exitCode = failed.length > 0 || total.tests === 0 || (process.env.CI === "true" && total.skipped > 0) ? 1 : 0;
