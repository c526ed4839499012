/**
 * Deno as the host of a page of its own: what goes on beside it, and what it
 * costs when nothing happens.
 *
 * @module
 */

import {
  gtk3,
  newWindow,
  onChange,
} from "../../../examples/loops/bindings/gtk3.ts";
import {
  load,
  newWebView,
  pageTitle,
} from "../../../examples/loops/bindings/webkit.ts";
import { Reactor } from "../../../mod.ts";
import { glibLoop } from "../../../src/loops/glib.ts";
import { aliveBeside, idle } from "./alive.ts";
import { say } from "./say.ts";

const PAGE = `<body style="background: #fdf6e3"><h1>A page</h1><script>
  fetch("/number").then((response) => response.text()).then((number) => {
    document.title = "Number " + number;
  });
</script>`;

const reactor = new Reactor();
const paths: string[] = [];
const server = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen() {} },
  ({ url }) => {
    const { pathname } = new URL(url);
    paths.push(pathname);
    return pathname === "/"
      ? new Response(PAGE, { headers: { "content-type": "text/html" } })
      : new Response("17");
  },
);

const gtk = gtk3();
const window = newWindow("Page", { width: 400, height: 200 });
const view = newWebView();
gtk.gtk_container_add(window, view);
gtk.gtk_widget_show_all(window);
reactor.attach(glibLoop());

const begun = performance.now();
const title = await new Promise<string>((resolve) => {
  onChange(view, "title", () => {
    if (pageTitle(view) !== "") resolve(pageTitle(view));
  });
  load(view, `http://127.0.0.1:${server.addr.port}/`);
});
const took = Math.round(performance.now() - begun);
say("loaded", { title, paths, took });

say("beside", await aliveBeside(reactor));
say("idle", await idle(reactor));

await server.shutdown();
reactor.stop();
