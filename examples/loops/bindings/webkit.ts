/**
 * As much of WebKitGTK as a window with a page needs. The window itself is one
 * of GTK 3.
 *
 * @module
 */

import {
  openToolkit,
  type ToolkitLibrary,
} from "../../../ffi/toolkits/library.ts";
import { text, textAt } from "./c.ts";
import { gtk3, type Widget } from "./gtk3.ts";

const WEBKIT: ToolkitLibrary = {
  name: "WebKitGTK",
  names: { linux: ["libwebkit2gtk-4.1.so.0"] },
  packages: { debian: "libwebkit2gtk-4.1-0", fedora: "webkit2gtk4.1" },
};

const SYMBOLS = {
  /** `WebKitWebContext *webkit_web_context_new_ephemeral(void)` */
  webkit_web_context_new_ephemeral: { parameters: [], result: "pointer" },
  /** `GtkWidget *webkit_web_view_new_with_context(WebKitWebContext *context)` */
  webkit_web_view_new_with_context: {
    parameters: ["pointer"],
    result: "pointer",
  },
  /** `void webkit_web_view_load_uri(WebKitWebView *view, const gchar *uri)` */
  webkit_web_view_load_uri: {
    parameters: ["pointer", "buffer"],
    result: "void",
  },
  /** `const gchar *webkit_web_view_get_title(WebKitWebView *view)` */
  webkit_web_view_get_title: { parameters: ["pointer"], result: "pointer" },
} as const;

type WebKit = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: WebKit | undefined;

function webkit(): WebKit {
  gtk3(); // Has to be started first.
  return opened ??= openToolkit(WEBKIT, SYMBOLS);
}

/**
 * Makes a widget that shows a page. It keeps nothing on the disk: WebKit names
 * its folder for the program, and "deno" is the one of Deno's own cache.
 */
export function newWebView(): Widget {
  const context = webkit().webkit_web_context_new_ephemeral();
  return webkit().webkit_web_view_new_with_context(context)!;
}

/** Begins to load a page. */
export function load(view: Widget, address: string): void {
  webkit().webkit_web_view_load_uri(view, text(address));
}

/** The title that the page has at present. */
export function pageTitle(view: Widget): string {
  return textAt(webkit().webkit_web_view_get_title(view));
}
