/**
 * Modal dialogs of GTK 3 on a reactor. Each case is one function.
 *
 *     gtk3_modal.ts <case> <backend>
 *
 * @module
 */

import {
  gtk3,
  newButton,
  newDialog,
  newWindow,
  runDialog,
  stack,
  type Widget,
} from "../../../examples/loops/bindings/gtk3.ts";
import { FileDescriptor, Reactor } from "../../../mod.ts";
import { glibLoop, glibWaker } from "../../../src/loops/glib.ts";
import { aliveBeside, aliveInside, guestErrors } from "./alive.ts";
import { say } from "./say.ts";

/** What a click on a dialog's button answers. */
const CLICKED = 7;
/** What the reactor answers. */
const ENDED = 8;

const [name, backend] = Deno.args as [keyof typeof CASES, "epoll" | "poll"];

const gtk = gtk3();
const waker = glibWaker();
const reactor = new Reactor({
  backend,
  onError: (error) => guestErrors.push(error),
});

/** How many dialogs are open. */
let depth = 0;

/** Deno is the host from here on. */
function host(): void {
  reactor.attach(glibLoop());
}

/** A window with nothing but a button. */
function showButton(title: string, clicked: () => void): void {
  const window = newWindow(title, { width: 200, height: 100 });
  stack(window, newButton("Press", clicked));
  gtk.gtk_widget_show_all(window);
}

function dialogCalled(title: string): Widget {
  const dialog = newDialog({ title, words: "Well?", answers: { OK: CLICKED } });
  gtk.gtk_window_move(dialog, 300, 300);
  return dialog;
}

/** Runs a dialog with nothing around it. */
function runBare(dialog: Widget): number {
  depth++;
  try {
    return runDialog(dialog);
  } finally {
    depth--;
    gtk.gtk_widget_destroy(dialog);
  }
}

/** Runs a dialog inside which the reactor goes on. */
function run(dialog: Widget): number {
  return reactor.modal(waker, () => runBare(dialog));
}

/** Runs a dialog that the reactor ends, when everything has gone on inside. */
function ask(): number {
  const dialog = dialogCalled("Asked");
  let steps = 0;
  const other = reactor.attach({
    prepare: () => ({ descriptors: [], timeout: 5 }),
    dispatch: () => steps++,
  });
  aliveInside(reactor, (guest) => {
    other.detach();
    say("inside", { ...guest, steps, depth });
    guestErrors.length = 0;
    gtk.gtk_dialog_response(dialog, ENDED);
  });
  return run(dialog);
}

/** Calls `f` from a reader's doRead. */
function whenReadable(f: () => void): void {
  const [output, input] = FileDescriptor.pipe();
  const reader = {
    fileno: () => output.fileno(),
    doRead() {
      reactor.removeReader(reader);
      output.close();
      input.close();
      f();
    },
    connectionLost() {},
  };
  reactor.addReader(reader);
  input.write(new Uint8Array(1));
}

/** Everything is as it was before the dialog: Deno, the reactor, and GTK. */
async function goOn(answer: number): Promise<void> {
  say("answer", answer);
  say("beside", await aliveBeside(reactor));
  await new Promise<void>((resolve) => showButton("After", resolve));
  say("errors", guestErrors.map(String));
  await reactor.close();
}

const CASES = {
  /** From plain Deno code. */
  plain(): void {
    host();
    setTimeout(() => goOn(ask()));
  },

  /** From a callback of GTK's, inside a step of the attached loop. */
  clicked(): void {
    host();
    showButton("Before", () => {
      const dialog = dialogCalled("Clicked");
      let calls = 0;
      function tick() {
        if (++calls === 20) say("ticking");
        if (depth > 0) reactor.callLater(1, tick);
      }
      reactor.callLater(1, tick);
      void goOn(run(dialog));
    });
  },

  /** From a reader. */
  reader(): void {
    host();
    whenReadable(() => goOn(ask()));
  },

  /** From a delayed call. */
  delayed(): void {
    host();
    reactor.callLater(1, () => goOn(ask()));
  },

  /** From a callback of the reactor's that runs inside another dialog. */
  nested(): void {
    host();
    setTimeout(() => {
      const outer = dialogCalled("Outer");
      reactor.callLater(1, () => {
        say("inner", ask());
        whenReadable(() => gtk.gtk_dialog_response(outer, ENDED));
      });
      void goOn(run(outer));
    });
  },

  /** In the middle of what other threads have queued. */
  order(): void {
    host();
    const seen: string[] = [];
    for (let i = 0; i < 6; i++) {
      reactor.callFromThread(() => {
        seen.push(`${i} in ${depth}`);
        if (i !== 2) return;
        const dialog = dialogCalled("Ordered");
        reactor.callFromThread(() => {
          seen.push(`last in ${depth}`);
          gtk.gtk_dialog_response(dialog, ENDED);
        });
        const answer = run(dialog);
        say("seen", seen);
        void goOn(answer);
      });
    }
  },

  /** The reactor is stopped inside two dialogs. */
  stop(): void {
    host();
    function openUntilShutdown(title: string): number {
      const dialog = dialogCalled(title);
      reactor.addSystemEventTrigger("after", "shutdown", () => {
        gtk.gtk_dialog_response(dialog, ENDED);
      });
      return run(dialog);
    }
    setTimeout(async () => {
      reactor.callLater(1, () => {
        reactor.callLater(1, () => reactor.stop());
        say("inner", openUntilShutdown("Inner"));
      });
      say("outer", openUntilShutdown("Outer"));
      await reactor.finished;
      say("errors", guestErrors.map(String));
    });
  },

  /** What blocks throws at last. */
  throws(): void {
    host();
    setTimeout(() => {
      const dialog = dialogCalled("Thrown");
      reactor.callLater(1, () => gtk.gtk_dialog_response(dialog, ENDED));
      try {
        reactor.modal(waker, () => {
          throw new Error(`answered ${runBare(dialog)}`);
        });
      } catch (error) {
        say("thrown", (error as Error).message);
      }
      void goOn(ask());
    });
  },

  /** The reactor has not been started yet, or has ended. */
  notRunning(): void {
    say("before", run(dialogCalled("Early")));
    say("host", reactor.inspect().host);
    setTimeout(async () => {
      reactor.interleave();
      await reactor.close();
      say("after", run(dialogCalled("Late")));
      say("errors", guestErrors.map(String));
    });
  },

  /** GTK is the host; first a dialog that makes the reactor deaf. */
  guest(): void {
    reactor.interleave(waker);
    reactor.addSystemEventTrigger("after", "shutdown", gtk.gtk_main_quit);
    whenReadable(() => {
      let calls = 0;
      reactor.callFromThread(() => calls++);
      runBare(dialogCalled("Deaf"));
      say("deaf", calls);
      whenReadable(() => {
        say("answer", ask());
        showButton("After", () => reactor.stop());
      });
    });
    setTimeout(async () => {
      gtk.gtk_main();
      await reactor.finished;
      say("errors", guestErrors.map(String));
    });
  },
};

CASES[name]();
