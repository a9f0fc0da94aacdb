// The words behind -o.

import { defaultMountFlags, parseMountOptions } from "#src/cli/mount/mountoptions";

const MS_RDONLY = 1, MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8, MS_NOATIME = 1024;

test.each([
  [[], defaultMountFlags],
  [["rw,defaults,nofail,_netdev,x-systemd.automount,comment=swap"], defaultMountFlags],
  [["ro"], MS_RDONLY | MS_NOSUID | MS_NODEV],
  [["ro,rw"], defaultMountFlags],
  [["ro", "noexec,noatime"], MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME],
  [["rw,dev,suid"], 0],
])("%j are these flags", (lists, flags) => {
  expect(parseMountOptions(lists)).toMatchObject({ flags, remount: false, activate: false, format: false, size: undefined });
});

test("the words of swapfs mount, and a remount with what is to change", () => {
  expect(parseMountOptions(["activate,format,size=1G", "allow-cow,allow-unmapped-host"])).toEqual({
    flags: defaultMountFlags, flagWords: [], remount: false, activate: true, format: true, size: 1 << 30, allowCow: true, allowUnmappedHost: true, swapons: [],
  });
  expect(parseMountOptions(["swapon=a,swapon=folder/b:10", "swapon=c:d"]).swapons).toEqual([
    { name: "a", priority: undefined }, { name: "folder/b", priority: 10 }, { name: "c:d", priority: undefined },
  ]);
  expect(parseMountOptions(["remount,ro,dev"])).toMatchObject({ remount: true, flagWords: ["ro", "dev"] });
  // `mount -t swapfs -o remount,ro MOUNTPOINT`: mount(8) adds what the mount table shows.
  expect(parseMountOptions(["ro,nosuid,relatime,user_id=0,group_id=0,default_permissions,allow_other,max_read=1048576,blksize=4096,remount"]))
    .toMatchObject({ remount: true, flagWords: ["ro", "nosuid", "relatime"] });
});

test.each([
  ["ro,what", /cannot use -o "what": there are activate, .*ro, .*rw/],
  ["size=much", /-o size/],
  ["swapon=a:32768", /-o swapon "32768": not FILE:PRIORITY with a number from 0 to 32767/],
  ["toString", /cannot use -o "toString"/],
])("-o %s is refused", (list, message) => {
  expect(() => parseMountOptions([list])).toThrow(message);
});
