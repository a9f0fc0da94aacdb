// Does a device or file carry something of somebody else? Asked of blkid(8) of util-linux, which knows them all.

import { accessSync, constants } from "node:fs";
import { UserError, exitCode, messageOf } from "../base/errors";
import { runTool } from "./tools";

/**
 * What is on `device`: "ext4", "swap", "LVM2_member", "dos" for a partition table, "several" when blkid finds more than one; undefined:
 * nothing. A swapfs volume is unknown to blkid: look for its superblock first.
 */
export function foreignSignature(device: string): string | undefined {
  requireReadable(device);
  const { code, stdout, stderr } = runTool("blkid", ["-p", "-o", "export", device]);
  if (code === -1) throw new UserError(exitCode.mountFailed, `cannot look for a filesystem on ${device}: ${stderr.trim()}, install util-linux`);
  return interpretBlkid(device, code, stdout, stderr);
}

/** Every signature on `device`, with its offset in bytes, as wipefs(8) knows them; it changes nothing. */
export function signaturesOn(device: string): { type: string; offset: number }[] {
  requireReadable(device);
  const { code, stdout, stderr } = runTool("wipefs", ["--json", device]);
  if (code !== 0) {
    const why = stderr.trim() || `wipefs exits with ${code}`;
    throw new UserError(exitCode.mountFailed, `cannot look for signatures on ${device}: ${why}, install util-linux 2.33 or newer`);
  }
  const { signatures } = (stdout.trim() === "" ? { signatures: [] } : JSON.parse(stdout)) as { signatures: { type: string; offset: string }[] };
  return signatures.map(({ type, offset }) => ({ type, offset: Number(offset) }));
}

/** blkid says "nothing found" of a device that is not there, too. */
function requireReadable(device: string): void {
  try {
    accessSync(device, constants.R_OK);
  } catch (error) {
    throw new UserError(exitCode.mountFailed, `cannot look for a filesystem on ${device}: ${messageOf(error)}`);
  }
}

/** Exit codes of blkid -p: 0 found, 2 nothing found or not readable, 8 more than one found. */
export function interpretBlkid(device: string, status: number, stdout: string, stderr: string): string | undefined {
  if (status === 8) return "several";
  const value = (name: string): string | undefined => new RegExp(`^${name}=(.*)$`, "m").exec(stdout)?.[1];
  if (status === 0) return value("TYPE") ?? value("PTTYPE");
  if (status === 2 && !stderr.includes("error:")) return undefined;
  throw new UserError(
    exitCode.mountFailed,
    `cannot look for a filesystem on ${device}: ${stderr.trim() || `blkid exits with ${status}`}, check that root may read it`,
  );
}
