/**
 * A dialog that wants an answer before anything else happens in its window, and
 * a count in that window which goes on all the same.
 *
 *     deno run --allow-ffi examples/loops/modal_dialog.ts
 *
 * You will see a window that counts the bytes which come through a pipe, ten a
 * second. Press "Start again..." and look: GTK blocks the program inside
 * `gtk_dialog_run()` until you have answered, but behind the dialog the count
 * goes on, because `reactor.modal()` lets the reactor work in there. With the
 * argument `guest` the whole program is inside GTK, in `gtk_main()`. "Quit", or
 * closing the window, ends it.
 *
 * @module
 */

import { FileDescriptor, reactor } from "../../mod.ts";
import { glibLoop, glibWaker } from "../../src/loops/glib.ts";
import {
  gtk3,
  newButton,
  newDialog,
  newLabel,
  newWindow,
  onClose,
  runDialog,
  setHeadline,
  stack,
} from "./bindings/gtk3.ts";

const YES = 1;
const NO = 0;

const gtk = gtk3();
const waker = glibWaker();

const window = newWindow("Modal dialog", { width: 360, height: 220 });
const label = newLabel("");
stack(
  window,
  label,
  newButton("Start again...", askToStartAgain),
  newButton("Quit", quit),
);
onClose(window, quit);
gtk.gtk_widget_show_all(window);

function askToStartAgain(): void {
  const dialog = newDialog({
    parent: window,
    title: "Start again",
    words: "Shall the count begin at 0 again?\nIt goes on until you say so.",
    answers: { "No": NO, "Yes": YES },
  });
  // Without modal() the count would stand still until the answer.
  const answer = reactor.modal(waker, () => runDialog(dialog));
  gtk.gtk_widget_destroy(dialog);
  if (answer === YES) bytes = 0;
}

function quit(): void {
  gtk.gtk_widget_hide(window);
  reactor.stop();
}

const [output, input] = FileDescriptor.pipe();
const chunk = new Uint8Array(64);
let bytes = 0;
setHeadline(label, "0 bytes");

reactor.addReader({
  fileno: () => output.fileno(),
  doRead() {
    bytes += output.read(chunk) ?? 0;
    setHeadline(label, `${bytes} bytes`);
  },
  connectionLost() {
    output.close();
    input.close();
  },
});

function send(): void {
  input.write(new Uint8Array(1));
  reactor.callLater(100, send);
}
reactor.callLater(100, send);

if (Deno.args[0] === "guest") {
  // The integration:
  reactor.interleave(waker);
  reactor.addSystemEventTrigger("after", "shutdown", gtk.gtk_main_quit);
  setTimeout(gtk.gtk_main, 0);
} else {
  // The integration, Deno as the host:
  reactor.attach(glibLoop());
}
