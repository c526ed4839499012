/**
 * What the README says of Deno's own means for descriptors, where it can be
 * tried: which of them `node:net` and `node:tty` take, and what a wait costs
 * that is an FFI call.
 *
 * When one of these fails with a newer Deno, the README's comparison has to be
 * corrected, and its readers may need this package less.
 */

import { assertEquals } from "@std/assert";
import { leaveOut } from "./left_out.ts";
import { runProgram } from "./program.ts";

const FFI = JSON.stringify(import.meta.resolve("../ffi/mod.ts"));

/** Prints of which kinds the descriptors are that `take` does not refuse. */
const TRY_ALL = `
  import net from "node:net";
  import tty from "node:tty";
  import * as ffi from ${FFI};
  const { CLOEXEC, NONBLOCK } = ffi.LINUX_ONLY;
  const made = {
    pipe: ffi.makePipe()[0],
    "stream socket": ffi.makeSocketpair()[0],
    "datagram socket": ffi.libc().socket(
      ffi.POSIX.AF_INET,
      ffi.POSIX.SOCK_DGRAM,
      0,
    ),
    terminal: ffi.openPty().master,
    pidfd: ffi.openPidfd(Deno.pid),
    eventfd: ffi.makeEventfd(0),
    inotify: ffi.linux().inotify_init1(NONBLOCK | CLOEXEC),
    timerfd: ffi.linux().timerfd_create(1, NONBLOCK | CLOEXEC),
  };
  function tryAll(take) {
    const taken = Object.entries(made).filter(([, fd]) => {
      if (fd < 0) throw new Error("A descriptor could not be made");
      try {
        take(fd);
        return true;
      } catch {
        return false;
      }
    });
    console.log(taken.map(([kind]) => kind).join());
    Deno.exit(); // What was taken would be waited for.
  }
`;

/** Starts as many waits as are wanted, of 500 ms, and reads a file behind them. */
const WAIT_AND_READ = `
  const { symbols: { poll } } = Deno.dlopen("libc.so.6", {
    poll: {
      parameters: ["buffer", "u32", "i32"],
      result: "i32",
      nonblocking: true,
    },
  });
  const settled = [];
  function waitAndRead(count) {
    const waits = Array.from({ length: count }, async () => {
      await poll(new Uint8Array(8), 0, 500);
      settled.push("wait");
    });
    const file = Deno.readTextFile("/dev/null").then(() => settled.push("file"));
    return Promise.all([...waits, file]);
  }
`;

/** Runs a program that must not complain, and returns what it prints. */
async function run(body: string, ...permissions: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(body, { permissions });
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  return stdout.trim();
}

function testOnLinux(name: string, fn: () => Promise<void>): void {
  if (Deno.build.os === "linux") Deno.test(name, fn);
  else leaveOut(name, "it needs Linux");
}

testOnLinux(
  "node:net takes pipes and stream sockets, and asks for nothing",
  async () => {
    const program = `${TRY_ALL} tryAll((fd) => new net.Socket({ fd }));`;
    assertEquals(await run(program, "--allow-ffi"), "pipe,stream socket");
  },
);

testOnLinux(
  "node:tty takes pipes, sockets and terminals, and asks for all files",
  async () => {
    const program = `${TRY_ALL} tryAll((fd) => new tty.ReadStream(fd));`;
    const files = ["--allow-read", "--allow-write"];
    assertEquals(
      await run(program, "--allow-ffi", ...files),
      "pipe,stream socket,datagram socket,terminal",
    );
    for (const flag of files) {
      assertEquals(await run(program, "--allow-ffi", flag), "");
    }
  },
);

testOnLinux(
  "32 FFI calls that wait keep Deno from its files, and 31 do not",
  async () => {
    const program = (count: number) =>
      `${WAIT_AND_READ} await waitAndRead(${count}); console.log(settled[0]);`;
    const permissions = ["--allow-ffi", "--allow-read"];
    assertEquals(await run(program(32), ...permissions), "wait");
    assertEquals(await run(program(31), ...permissions), "file");
  },
);
