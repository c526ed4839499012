/**
 * As much of GTK 3 as two small programs and some tests need. Nothing here has
 * to do with waiting.
 *
 * @module
 */

import {
  openToolkit,
  type ToolkitLibrary,
} from "../../../ffi/toolkits/library.ts";
import { functionFor, guarded, text } from "./c.ts";

const GTK3: ToolkitLibrary = {
  name: "GTK 3",
  names: {
    linux: ["libgtk-3.so.0"],
    darwin: [
      "libgtk-3.0.dylib",
      "/opt/homebrew/lib/libgtk-3.0.dylib",
      "/usr/local/lib/libgtk-3.0.dylib",
    ],
  },
  packages: { debian: "libgtk-3-0", fedora: "gtk3", homebrew: "gtk+3" },
};

// Functions of GLib are found in the library as well, which depends on it.
const SYMBOLS = {
  /** `gboolean gtk_init_check(int *argc, char ***argv)` */
  gtk_init_check: { parameters: ["pointer", "pointer"], result: "i32" },
  /** `void gtk_main(void)` */
  gtk_main: { parameters: [], result: "void" },
  /** `void gtk_main_quit(void)` */
  gtk_main_quit: { parameters: [], result: "void" },
  /** `gulong g_signal_connect_data(gpointer instance, const gchar *signal, GCallback handler, gpointer data, GClosureNotify destroy, GConnectFlags flags)` */
  g_signal_connect_data: {
    parameters: ["pointer", "buffer", "function", "pointer", "pointer", "i32"],
    result: "u64",
  },
  /** `GtkWidget *gtk_window_new(GtkWindowType type)` */
  gtk_window_new: { parameters: ["i32"], result: "pointer" },
  /** `void gtk_window_set_title(GtkWindow *window, const gchar *title)` */
  gtk_window_set_title: { parameters: ["pointer", "buffer"], result: "void" },
  /** `void gtk_window_set_default_size(GtkWindow *window, gint width, gint height)` */
  gtk_window_set_default_size: {
    parameters: ["pointer", "i32", "i32"],
    result: "void",
  },
  /** `void gtk_window_move(GtkWindow *window, gint x, gint y)` */
  gtk_window_move: { parameters: ["pointer", "i32", "i32"], result: "void" },
  /** `void gtk_window_set_transient_for(GtkWindow *window, GtkWindow *parent)` */
  gtk_window_set_transient_for: {
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `void gtk_container_add(GtkContainer *container, GtkWidget *widget)` */
  gtk_container_add: { parameters: ["pointer", "pointer"], result: "void" },
  /** `void gtk_container_set_border_width(GtkContainer *container, guint width)` */
  gtk_container_set_border_width: {
    parameters: ["pointer", "u32"],
    result: "void",
  },
  /** `GtkWidget *gtk_box_new(GtkOrientation orientation, gint spacing)` */
  gtk_box_new: { parameters: ["i32", "i32"], result: "pointer" },
  /** `void gtk_box_pack_start(GtkBox *box, GtkWidget *child, gboolean expand, gboolean fill, guint padding)` */
  gtk_box_pack_start: {
    parameters: ["pointer", "pointer", "i32", "i32", "u32"],
    result: "void",
  },
  /** `GtkWidget *gtk_label_new(const gchar *text)` */
  gtk_label_new: { parameters: ["buffer"], result: "pointer" },
  /** `void gtk_label_set_markup(GtkLabel *label, const gchar *markup)` */
  gtk_label_set_markup: { parameters: ["pointer", "buffer"], result: "void" },
  /** `GtkWidget *gtk_button_new_with_label(const gchar *label)` */
  gtk_button_new_with_label: { parameters: ["buffer"], result: "pointer" },
  /** `void gtk_widget_show_all(GtkWidget *widget)` */
  gtk_widget_show_all: { parameters: ["pointer"], result: "void" },
  /** `void gtk_widget_hide(GtkWidget *widget)` */
  gtk_widget_hide: { parameters: ["pointer"], result: "void" },
  /** `void gtk_widget_destroy(GtkWidget *widget)` */
  gtk_widget_destroy: { parameters: ["pointer"], result: "void" },
  /** `GtkWidget *gtk_dialog_new(void)` */
  gtk_dialog_new: { parameters: [], result: "pointer" },
  /** `GtkWidget *gtk_dialog_get_content_area(GtkDialog *dialog)` */
  gtk_dialog_get_content_area: { parameters: ["pointer"], result: "pointer" },
  /** `GtkWidget *gtk_dialog_add_button(GtkDialog *dialog, const gchar *label, gint response)` */
  gtk_dialog_add_button: {
    parameters: ["pointer", "buffer", "i32"],
    result: "pointer",
  },
  /** `gint gtk_dialog_run(GtkDialog *dialog)` */
  gtk_dialog_run: { parameters: ["pointer"], result: "i32" },
  /** `void gtk_dialog_response(GtkDialog *dialog, gint response)` */
  gtk_dialog_response: { parameters: ["pointer", "i32"], result: "void" },
} as const;

const GTK_ORIENTATION_VERTICAL = 1;
const SPACING = 12;

type Gtk = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Gtk | undefined;

/** A widget, or whatever else of GTK's. */
export type Widget = Deno.PointerObject;

/**
 * GTK's functions. The first call opens the library and takes up the display.
 *
 * @throws {Deno.errors.NotFound} When GTK is not installed.
 * @throws {Error} When there is no display.
 */
export function gtk3(): Gtk {
  if (opened !== undefined) return opened;
  const gtk = openToolkit(GTK3, SYMBOLS);
  if (gtk.gtk_init_check(null, null) === 0) {
    throw new Error("Cannot start GTK: there is no display");
  }
  return opened = gtk;
}

/** Calls `f` for a signal that comes without further values, as "clicked". */
export function onSignal(object: Widget, signal: string, f: () => void): void {
  connect(
    object,
    signal,
    functionFor(
      { parameters: ["pointer", "pointer"], result: "void" },
      () => guarded(f),
    ),
  );
}

/** Calls `f` whenever a property of an object has changed. */
export function onChange(
  object: Widget,
  property: string,
  f: () => void,
): void {
  connect(
    object,
    `notify::${property}`,
    functionFor(
      { parameters: ["pointer", "pointer", "pointer"], result: "void" },
      () => guarded(f),
    ),
  );
}

/** Calls `f` when somebody wants to close a window, which stays open. */
export function onClose(window: Widget, f: () => void): void {
  connect(
    window,
    "delete-event",
    functionFor(
      { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
      () => {
        guarded(f);
        return 1; // GTK is not to destroy the window.
      },
    ),
  );
}

/** Makes a window that is not shown yet. */
export function newWindow(
  title: string,
  { width, height }: { width: number; height: number },
): Widget {
  const gtk = gtk3();
  const window = gtk.gtk_window_new(0)!;
  setTitle(window, title);
  gtk.gtk_window_set_default_size(window, width, height);
  return window;
}

/** Gives a window another title. */
export function setTitle(window: Widget, title: string): void {
  gtk3().gtk_window_set_title(window, text(title));
}

/** Stacks widgets in a container, the first of them on top. */
export function stack(container: Widget, ...children: Widget[]): void {
  const gtk = gtk3();
  const box = gtk.gtk_box_new(GTK_ORIENTATION_VERTICAL, SPACING)!;
  for (const child of children) gtk.gtk_box_pack_start(box, child, 0, 0, 0);
  gtk.gtk_container_set_border_width(box, SPACING);
  gtk.gtk_container_add(container, box);
}

/** Makes a label. */
export function newLabel(words: string): Widget {
  return gtk3().gtk_label_new(text(words))!;
}

/** Lets a label say something else, large. It must not contain `<` or `&`. */
export function setHeadline(label: Widget, words: string): void {
  const markup = `<span size="xx-large">${words}</span>`;
  gtk3().gtk_label_set_markup(label, text(markup));
}

/** Makes a button. */
export function newButton(label: string, clicked: () => void): Widget {
  const button = gtk3().gtk_button_new_with_label(text(label))!;
  onSignal(button, "clicked", clicked);
  return button;
}

/** A question with buttons below it. */
export interface Question {
  /** The dialog's title. */
  readonly title: string;
  /** What is asked. */
  readonly words: string;
  /** What each button stands for, by what it says. */
  readonly answers: Readonly<Record<string, number>>;
  /** The window that the dialog belongs to, and comes up in the middle of. */
  readonly parent?: Widget;
}

/** Makes a dialog that is not shown yet. */
export function newDialog(question: Question): Widget {
  const gtk = gtk3();
  const dialog = gtk.gtk_dialog_new()!;
  setTitle(dialog, question.title);
  gtk.gtk_window_set_transient_for(dialog, question.parent ?? null);
  stack(gtk.gtk_dialog_get_content_area(dialog)!, newLabel(question.words));
  for (const [label, answer] of Object.entries(question.answers)) {
    gtk.gtk_dialog_add_button(dialog, text(label), answer);
  }
  return dialog;
}

/** Shows a dialog, and blocks until it is answered. */
export function runDialog(dialog: Widget): number {
  const gtk = gtk3();
  gtk.gtk_widget_show_all(dialog);
  return gtk.gtk_dialog_run(dialog);
}

function connect(
  object: Widget,
  signal: string,
  handler: Deno.PointerObject,
): void {
  const gtk = gtk3();
  gtk.g_signal_connect_data(object, text(signal), handler, null, null, 0);
}
