#!/usr/bin/env node
// systemd runs this at boot and at each daemon-reload, and reads the units that it writes: systemd.generator(7).

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { messageOf } from "../base/errors";
import { configFile } from "../cli/common/config";
import { readText } from "../sys/kernelfiles";
import { unitsOf } from "./units";

/** Returns the exit code. PREFIX/lib/systemd/system-generators/swapfs-generator is started; PREFIX/bin/swapfs stays the command after an upgrade. */
export function generate(folder: string, program: string, config = readText(configFile) ?? ""): number {
  const command = path.join(path.dirname(program), "../../../bin/swapfs");
  const { units, problems } = unitsOf(config, command);
  for (const problem of problems) say(problem);
  for (const [name, text] of units) {
    const target = path.join(folder, name);
    mkdirSync(path.dirname(target), { recursive: true });
    try {
      if (name.includes("/")) symlinkSync(path.join("..", path.basename(name)), target);
      else writeFileSync(target, text, { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      say(`${name} is there already, of a line of /etc/fstab perhaps: that one stays`);
    }
  }
  return problems.length > 0 ? 1 : 0;
}

function say(line: string): void {
  process.stderr.write(`swapfs-generator: ${line}\n`);
}

if (require.main === module) {
  try {
    process.exitCode = generate(process.argv[2]!, process.argv[1]!);
  } catch (error) {
    say(messageOf(error));
    process.exitCode = 1;
  }
}
