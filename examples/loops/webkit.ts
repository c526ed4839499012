/**
 * A browser window whose page comes from the same program: WebKit shows what
 * `Deno.serve` answers.
 *
 *     deno run --allow-ffi --allow-net=127.0.0.1 examples/loops/webkit.ts
 *
 * You will see a page with two buttons. "Count" asks the server, which counts,
 * and the page puts the answer into its title; that reaches this program as a
 * signal of GTK's, and becomes the title of the window. "Quit", or closing the
 * window, ends the program.
 *
 * Deno is the host. In the other form, with the main thread inside GTK, the
 * server would stand still, and with it the page.
 *
 * @module
 */

import { Reactor } from "../../mod.ts";
import { glibLoop } from "../../src/loops/glib.ts";
import {
  gtk3,
  newWindow,
  onChange,
  onClose,
  setTitle,
} from "./bindings/gtk3.ts";
import { load, newWebView, pageTitle } from "./bindings/webkit.ts";

const PAGE = `<!DOCTYPE html>
<meta charset="utf-8">
<style>
  body { font: 18px sans-serif; text-align: center; background: #fdf6e3 }
  p { font-size: 64px; margin: 20px }
  button { font: inherit; padding: 8px 24px }
</style>
<h1>From Deno ${Deno.version.deno}</h1>
<p></p>
<button onclick="count()">Count</button>
<button onclick="ask('/quit')">Quit</button>
<script>
  async function ask(path) {
    return await (await fetch(path, { method: "POST" })).text();
  }
  async function count() {
    show(await ask("/count"));
  }
  function show(number) {
    document.querySelector("p").textContent = number;
    document.title = "Counted to " + number;
  }
  show(0);
</script>
`;

const reactor = new Reactor();
let count = 0;

const server = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen() {} },
  ({ url }) => {
    switch (new URL(url).pathname) {
      case "/":
        return new Response(PAGE, { headers: { "content-type": "text/html" } });
      case "/count":
        return new Response(String(++count));
      case "/quit":
        quit();
        return new Response("Goodbye");
      default:
        return new Response("There is no such page", { status: 404 });
    }
  },
);
reactor.addSystemEventTrigger("before", "shutdown", () => server.shutdown());

const gtk = gtk3();
const window = newWindow("WebKit and Deno", { width: 480, height: 320 });
const view = newWebView();
onChange(view, "title", () => {
  setTitle(window, pageTitle(view));
  console.log(pageTitle(view));
});
onClose(window, quit);
gtk.gtk_container_add(window, view);
gtk.gtk_widget_show_all(window);
load(view, `http://127.0.0.1:${server.addr.port}/`);

let stopping = false;

/** Stops the reactor, and the rest after it; a second click changes nothing. */
function quit(): void {
  if (!stopping) reactor.stop();
  stopping = true;
}

// The integration, Deno as the host:
reactor.attach(glibLoop());
reactor.addSystemEventTrigger("after", "shutdown", () => {
  gtk.gtk_widget_destroy(window);
});
