/**
 * As much of wxWidgets 3.2 as a demo needs.
 *
 * wxWidgets has no C interface. What makes this possible without a compiler is
 * the Itanium C++ ABI, which Linux's C++ compilers follow, and the promise of
 * wxWidgets that within 3.2 neither the functions nor the layout of classes
 * change. So:
 *
 * - Functions are named as the linker knows them, parameters' types included. A
 *   member function takes the object first.
 * - A window is made in two steps, as wxWidgets itself does it for windows that
 *   are described in files: by the name of its class, then by `Create()`.
 * - A virtual function is called by its own name: the class is known.
 * - What wxWidgets calls back is an object with virtual functions, made by hand.
 *
 * @module
 */

import {
  openToolkit,
  type ToolkitLibrary,
} from "../../../ffi/toolkits/library.ts";
import { commandLine, functionFor, guarded, keep } from "./c.ts";

const WX: ToolkitLibrary = {
  name: "wxWidgets 3.2",
  names: { linux: ["libwx_gtk3u_core-3.2.so.0"] },
  packages: { debian: "libwxgtk3.2-1", fedora: "wxGTK" },
};

/** The parameters with which every `Create()` begins: `this`, parent, id. */
const CREATE = ["pointer", "pointer", "i32"] as const;
/** `const wxPoint &position, const wxSize &size, long style` */
const PLACE = ["buffer", "buffer", "isize"] as const;
/** `const wxString &` */
const STRING = "buffer";

/** Those of libwx_baseu and libstdc++ are found through libwx_gtk3u_core. */
const SYMBOLS = {
  /** `void *operator new(size_t size)` */
  operatorNew: { name: "_Znwm", parameters: ["usize"], result: "pointer" },
  /** `wxApp::wxApp()` */
  newApp: { name: "_ZN5wxAppC1Ev", parameters: ["pointer"], result: "void" },
  /** `bool wxEntryStart(int &argc, char **argv)` */
  start: {
    name: "_Z12wxEntryStartRiPPc",
    parameters: ["buffer", "buffer"],
    result: "bool",
  },
  /** `int wxAppConsoleBase::MainLoop()` */
  mainLoop: {
    name: "_ZN16wxAppConsoleBase8MainLoopEv",
    parameters: ["pointer"],
    result: "i32",
  },
  /** `void wxAppConsoleBase::ExitMainLoop()` */
  exitMainLoop: {
    name: "_ZN16wxAppConsoleBase12ExitMainLoopEv",
    parameters: ["pointer"],
    result: "void",
  },
  /** `wxObject *wxCreateDynamicObject(const wxString &className)` */
  createObject: {
    name: "_Z21wxCreateDynamicObjectRK8wxString",
    parameters: [STRING],
    result: "pointer",
  },
  /** `bool wxFrame::Create(..., const wxString &title, place, const wxString &name)` */
  createFrame: {
    name: "_ZN7wxFrame6CreateEP8wxWindowiRK8wxStringRK7wxPointRK6wxSizelS4_",
    parameters: [...CREATE, STRING, ...PLACE, STRING],
    result: "bool",
  },
  /** `bool wxPanelBase::Create(..., place, const wxString &name)` */
  createPanel: {
    name: "_ZN11wxPanelBase6CreateEP8wxWindowiRK7wxPointRK6wxSizelRK8wxString",
    parameters: [...CREATE, ...PLACE, STRING],
    result: "bool",
  },
  /** `bool wxStaticText::Create(..., const wxString &label, place, const wxString &name)` */
  createText: {
    name:
      "_ZN12wxStaticText6CreateEP8wxWindowiRK8wxStringRK7wxPointRK6wxSizelS4_",
    parameters: [...CREATE, STRING, ...PLACE, STRING],
    result: "bool",
  },
  /** `bool wxButton::Create(..., const wxString &label, place, const wxValidator &validator, const wxString &name)` */
  createButton: {
    name:
      "_ZN8wxButton6CreateEP8wxWindowiRK8wxStringRK7wxPointRK6wxSizelRK11wxValidatorS4_",
    parameters: [...CREATE, STRING, ...PLACE, "pointer", STRING],
    result: "bool",
  },
  /** `void wxStaticText::SetLabel(const wxString &label)` */
  setText: {
    name: "_ZN12wxStaticText8SetLabelERK8wxString",
    parameters: ["pointer", STRING],
    result: "void",
  },
  /** `bool wxTopLevelWindowGTK::Show(bool show)` */
  show: {
    name: "_ZN19wxTopLevelWindowGTK4ShowEb",
    parameters: ["pointer", "bool"],
    result: "bool",
  },
  /** `void wxEvtHandler::DoBind(int id, int lastId, wxEventType type, wxEventFunctor *functor, wxObject *userData)`, which is `Bind()` */
  bind: {
    name: "_ZN12wxEvtHandler6DoBindEiiiP14wxEventFunctorP8wxObject",
    parameters: ["pointer", "i32", "i32", "i32", "buffer", "pointer"],
    result: "void",
  },
  /** `const wxEventType wxEVT_BUTTON` */
  wxEVT_BUTTON: { type: "i32" },
  /** `const wxEventType wxEVT_CLOSE_WINDOW` */
  wxEVT_CLOSE_WINDOW: { type: "i32" },
  /** `const wxValidator wxDefaultValidator`: its address */
  wxDefaultValidator: { type: "pointer" },
} as const;

type Pointer = Deno.PointerObject;

/** `wxID_ANY`, and the whole of a range of ids. */
const ANY = -1;

/** `wxDEFAULT_FRAME_STYLE`: a caption, a border, and all that is in them. */
const FRAME_STYLE = 0x20401e40n;

/** More than the few hundred bytes of a wxApp: only its header knows how many. */
const APP_ROOM = 8192n;

/** wxWidgets, with an application object. A process can have one. */
export class Wx {
  readonly #wx = openToolkit(WX, SYMBOLS);
  readonly #app: Pointer;

  /** Starts wxWidgets. */
  constructor() {
    this.#app = this.#wx.operatorNew(APP_ROOM)!;
    this.#wx.newApp(this.#app); // Makes itself wxTheApp.
    const { argc, argv } = commandLine("wx");
    if (!this.#wx.start(argc, argv)) throw new Error("Cannot start wxWidgets");
  }

  /** Shows a window with a text and a button. */
  frame(title: string, options: {
    /** The text. */
    text: string;
    /** What is on the button. */
    button: string;
    /** What a click on the button does. */
    clicked: () => void;
    /** What the window's close button does, instead of closing it. */
    closed: () => void;
  }): { setText(text: string): void } {
    const wx = this.#wx;
    const name = wxString("");

    const frame = this.#create("wxFrame");
    const place = [pair(0, 0), pair(260, 110), FRAME_STYLE] as const;
    wx.createFrame(frame, null, ANY, wxString(title), ...place, name);
    this.#bind(frame, wx.wxEVT_CLOSE_WINDOW, options.closed);

    // It lets things stay where they are put.
    const panel = this.#create("wxPanel");
    wx.createPanel(panel, frame, ANY, ...at(0, 0), name);

    const label = wxString(options.text);
    const text = this.#create("wxStaticText");
    wx.createText(text, panel, ANY, label, ...at(20, 20), name);

    const caption = wxString(options.button);
    const checked = wx.wxDefaultValidator;
    const button = this.#create("wxButton");
    wx.createButton(button, panel, ANY, caption, ...at(20, 55), checked, name);
    this.#bind(button, wx.wxEVT_BUTTON, options.clicked);

    wx.show(frame, true);
    return { setText: (label) => wx.setText(text, wxString(label)) };
  }

  /** Runs the event loop of wxWidgets, until `exitMainLoop()`. */
  mainLoop(): void {
    this.#wx.mainLoop(this.#app);
  }

  /** Ends the event loop of wxWidgets. */
  exitMainLoop(): void {
    this.#wx.exitMainLoop(this.#app);
  }

  #create(className: string): Pointer {
    return this.#wx.createObject(wxString(className))!;
  }

  #bind(handler: Pointer, event: number, f: () => void): void {
    this.#wx.bind(handler, ANY, ANY, event, eventFunctor(f), null);
  }
}

/**
 * A wxString, to be copied by whoever gets it: a `std::wstring`, which is a
 * pointer, a length and a capacity in libstdc++, and an empty cache behind it,
 * 48 bytes in all. Its characters are in the same memory.
 */
function wxString(text: string): Uint32Array<ArrayBuffer> {
  const characters = Array.from(text, (c) => c.codePointAt(0)!);
  const HEAD = 16;
  const memory = new Uint32Array(HEAD + characters.length + 1);
  memory.set(characters, HEAD);
  const first = addressOf(memory) + BigInt(4 * HEAD);
  const length = BigInt(characters.length);
  new BigUint64Array(memory.buffer, 0, 3).set([first, length, length]);
  return memory;
}

/** A wxPoint or a wxSize. */
function pair(x: number, y: number): Int32Array<ArrayBuffer> {
  return new Int32Array([x, y]);
}

/** A place in a window, as large as the thing there wants it. */
function at(x: number, y: number) {
  return [pair(x, y), pair(-1, -1), 0n] as const;
}

/**
 * An object of a class derived from wxEventFunctor. The first word of such an
 * object is the address of a table of its class's virtual functions, in the
 * order in which wx/event.h declares them. A destructor has two places: one
 * function destroys the object, the other frees its memory as well.
 */
function eventFunctor(f: () => void): BigUint64Array<ArrayBuffer> {
  const destructor = functionFor(
    { parameters: ["pointer"], result: "void" },
    () => {},
  );
  // void operator()(wxEvtHandler *handler, wxEvent &event)
  const call = functionFor(
    { parameters: ["pointer", "pointer", "pointer"], result: "void" },
    () => guarded(f),
  );
  // bool IsMatching(const wxEventFunctor &functor) const
  const isMatching = functionFor(
    { parameters: ["pointer", "pointer"], result: "bool" },
    () => false,
  );
  // wxEvtHandler *GetEvtHandler() const, wxEventFunction GetEvtMethod() const
  const getNothing = functionFor(
    { parameters: ["pointer"], result: "pointer" },
    () => null,
  );
  const table = BigUint64Array.from(
    [destructor, destructor, call, isMatching, getNothing, getNothing],
    Deno.UnsafePointer.value,
  );
  const functor = new BigUint64Array([addressOf(table)]);
  keep(table, functor);
  return functor;
}

function addressOf(memory: BufferSource): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
}
