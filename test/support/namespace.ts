// A shell script in a mount namespace of its own, in which it may hide and mount what it likes.

import os from "node:os";

import { run, type Done, type RunOptions } from "./mounted-run";

/**
 * Such a namespace begins with a copy of every mount on the machine. Those of tests beside this one would keep their devices busy
 * after their umount, for as long as the script runs, so it detaches its copies first, but for those in `keep`.
 */
export function namespaceCommand(keep: string, script: string, ...args: string[]): [string, ...string[]] {
  const detach = `awk -v keep="${keep}/" -v run="${os.tmpdir()}/" 'index($2, run) == 1 && index($2 "/", keep) != 1 { print $2 }' /proc/self/mounts |
    tac | while read -r copy; do umount -il "$copy" || true; done 2>/dev/null
    `;
  return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", detach + script, "sh", ...args];
}

export function inNamespaceOfItsOwn(keep: string, script: string, options: RunOptions = {}, ...args: string[]): Promise<Done> {
  const [program, ...rest] = namespaceCommand(keep, script, ...args);
  return run(program, rest, options);
}
