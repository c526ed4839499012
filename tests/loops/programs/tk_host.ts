/**
 * Tk in Deno's loop. Each case is one function.
 *
 *     tk_host.ts <case>
 *
 * @module
 */

import { Tk } from "../../../examples/loops/bindings/tk.ts";
import { type Attachment, Reactor } from "../../../mod.ts";
import { tkLoop, tkWaker } from "../../../src/loops/tk.ts";
import { aliveBeside, aliveInside, guestErrors, idle } from "./alive.ts";
import { say } from "./say.ts";

const CASES = { window, changes, channel, nested, modal, quiet, late };

const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });

function start(): { tk: Tk; attachment: Attachment } {
  const attachment = reactor.attach(tkLoop());
  return { tk: new Tk(), attachment };
}

/** Waits until Tcl calls a command. */
function called(tk: Tk, command: string): Promise<void> {
  return new Promise((resolve) => tk.command(command, resolve));
}

async function end(tk: Tk, attachment: Attachment): Promise<void> {
  say("errors", guestErrors.map(String));
  tk.destroy();
  attachment.detach();
  await reactor.close();
  say("closed");
}

/** A click, everything beside it, nothing to do, and the close button. */
async function window(): Promise<void> {
  const { tk, attachment } = start();
  const loop = tkLoop();
  say("same", tkLoop() === loop);
  const clicked = called(tk, "clicked");
  const closed = called(tk, "closed");
  tk.evaluate(`
    wm title . "Tk beside Deno"
    wm geometry . 300x120+0+0
    wm protocol . WM_DELETE_WINDOW closed
    button .b -text Click -command {.l configure -text "Somebody has clicked"; clicked}
    label .l -text "Nobody has clicked"
    pack .b .l -pady 12
  `);
  await clicked;
  say("clicked");
  say("alive", await aliveBeside(reactor));
  say("idle", await idle(reactor));
  tk.evaluate(".l configure -background yellow");
  await closed;
  await end(tk, attachment);
}

/** What plain Deno code changes is seen by itself, or after a kick. */
async function changes(): Promise<void> {
  const { tk, attachment } = start();
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = performance.now();
  const fired = called(tk, "fired");
  tk.evaluate("after 20 fired");
  await fired;
  say("after", performance.now() - before);
  const redrawn = called(tk, "redrawn");
  tk.evaluate("after idle redrawn");
  await redrawn;
  say("idle");
  const handled = called(tk, "handled");
  tk.evaluate("bind . <<Told>> handled; event generate . <<Told>> -when tail");
  attachment.kick();
  await handled;
  say("kicked");
  await end(tk, attachment);
}

/** Two channels of Tcl's: one line, of which nothing comes but a title, and the end. */
async function channel(): Promise<void> {
  const { tk, attachment } = start();
  const closed = called(tk, "closed");
  tk.evaluate(`
    lassign [chan pipe] output input
    fconfigure $output -blocking 0
    fconfigure $input -blocking 0 -buffering none
    wm protocol . WM_DELETE_WINDOW {close $input}
    after 200 {
      fileevent $input writable {
        puts $input "Tk has read"
        fileevent $input writable {}
      }
    }
    fileevent $output readable {
      gets $output line
      if {[eof $output]} {
        close $output
        closed
      } else {
        wm title . $line
      }
    }
  `);
  await closed;
  await end(tk, attachment);
}

/** A nested loop, from plain Deno code, that leaves an event behind. */
async function nested(): Promise<void> {
  const { tk, attachment } = start();
  const handled = called(tk, "handled");
  tk.evaluate("bind . <<Told>> handled");
  let ticks = 0;
  const ticking = setInterval(() => ticks++, 1);
  tk.evaluate("update");
  tk.evaluate(`
    after 50 {event generate . <<Told>> -when tail; set done yes}
    vwait done
  `);
  clearInterval(ticking);
  say("returned", { done: tk.get("done"), ticks });
  await handled;
  say("handled");
  await end(tk, attachment);
}

/** Nested loops inside which the reactor goes on, from everywhere. */
async function modal(): Promise<void> {
  const { tk, attachment } = start();
  const waker = tkWaker();
  const ask = () => {
    aliveInside(reactor, (guest) => {
      say("inside", guest);
      guestErrors.length = 0;
      tk.set("done", "yes");
    });
    reactor.modal(waker, () => tk.evaluate("vwait done"));
  };
  for (const place of ["deno", "tcl", "reactor"] as const) {
    await new Promise<void>((resolve) => {
      const run = () => {
        ask();
        resolve();
      };
      tk.command("run", run);
      if (place === "deno") setTimeout(run, 0);
      else if (place === "tcl") tk.evaluate("after 0 run");
      else reactor.callLater(0, run);
    });
    const fired = called(tk, "fired");
    tk.evaluate("after 20 fired");
    await fired;
    say("after", place);
  }
  await end(tk, attachment);
}

/** Nothing comes after a modal loop but a click, and nothing of that but a title. */
async function quiet(): Promise<void> {
  const { tk, attachment } = start();
  const closed = called(tk, "closed");
  tk.evaluate(`
    wm title . "Tk in silence"
    wm geometry . 100x100+0+0
    wm protocol . WM_DELETE_WINDOW closed
    bind . <ButtonRelease> {wm title . "Tk has heard"}
  `);
  await new Promise((resolve) => setTimeout(resolve, 200));
  reactor.callLater(20, () => tk.set("done", "yes"));
  reactor.modal(tkWaker(), () => tk.evaluate("vwait done"));
  say("after");
  await closed;
  await end(tk, attachment);
}

/** There is one notifier, and Tcl takes it before it starts only. */
function late(): void {
  const tk = new Tk();
  try {
    tkLoop();
  } catch (error) {
    say("refused", String(error));
  }
  // It has its own still.
  tk.evaluate("after 10 {set done yes}; vwait done");
  say("done", tk.get("done"));
}

setTimeout(CASES[Deno.args[0] as keyof typeof CASES], 0);
