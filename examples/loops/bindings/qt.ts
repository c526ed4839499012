/**
 * As much of Qt's widgets as a demo needs, for Qt 5.15 and Qt 6.
 *
 * Qt has no C interface. What makes this possible without a compiler is the
 * Itanium C++ ABI, which Linux's C++ compilers follow, and Qt's promise that
 * the functions of a major version keep their names and parameters. So:
 *
 * - Functions are named as the linker knows them, parameters' types included.
 * - A member function takes the object first; a constructor takes the memory for
 *   it. `new` is two calls: memory from `operator new`, then the constructor.
 *   The real size of a class is known to its header only. The classes here are
 *   a pointer or two larger than a QObject (16 bytes), so 256 are plenty.
 * - An enumeration or a `QFlags` is an int.
 *
 * @module
 */

import {
  openToolkit,
  type ToolkitLibrary,
} from "../../../ffi/toolkits/library.ts";
import { type QtVersion, slotObject } from "../../../ffi/toolkits/qt.ts";
import { commandLine, guarded } from "./c.ts";

const WIDGETS: Readonly<Record<QtVersion, ToolkitLibrary>> = {
  5: {
    name: "Qt 5's widgets",
    names: { linux: ["libQt5Widgets.so.5"] },
    packages: { debian: "libqt5widgets5", fedora: "qt5-qtbase-gui" },
  },
  6: {
    name: "Qt 6's widgets",
    names: { linux: ["libQt6Widgets.so.6"] },
    packages: { debian: "libqt6widgets6", fedora: "qt6-qtbase-gui" },
  },
};

/**
 * The same in Qt 5 and Qt 6. Those of libQtCore, libQtGui and libstdc++ are
 * found through libQtWidgets, which is linked with them.
 */
const SYMBOLS = {
  /** `void *operator new(size_t size)` */
  operatorNew: { name: "_Znwm", parameters: ["usize"], result: "pointer" },
  /** `QApplication::QApplication(int &argc, char **argv, int flags)` */
  newApplication: {
    name: "_ZN12QApplicationC1ERiPPci",
    parameters: ["pointer", "buffer", "buffer", "i32"],
    result: "void",
  },
  /** `static void QGuiApplication::setQuitOnLastWindowClosed(bool quit)` */
  setQuitOnLastWindowClosed: {
    name: "_ZN15QGuiApplication25setQuitOnLastWindowClosedEb",
    parameters: ["bool"],
    result: "void",
  },
  /** `static int QApplication::exec()` */
  exec: { name: "_ZN12QApplication4execEv", parameters: [], result: "i32" },
  /** `static void QCoreApplication::exit(int code)` */
  exit: {
    name: "_ZN16QCoreApplication4exitEi",
    parameters: ["i32"],
    result: "void",
  },
  /** `QWidget::QWidget(QWidget *parent, Qt::WindowFlags flags)` */
  newWidget: {
    name: "_ZN7QWidgetC1EPS_6QFlagsIN2Qt10WindowTypeEE",
    parameters: ["pointer", "pointer", "u32"],
    result: "void",
  },
  /** `void QWidget::setWindowTitle(const QString &title)` */
  setWindowTitle: {
    name: "_ZN7QWidget14setWindowTitleERK7QString",
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `void QWidget::setMinimumSize(int width, int height)` */
  setMinimumSize: {
    name: "_ZN7QWidget14setMinimumSizeEii",
    parameters: ["pointer", "i32", "i32"],
    result: "void",
  },
  /** `void QWidget::show()` */
  show: {
    name: "_ZN7QWidget4showEv",
    parameters: ["pointer"],
    result: "void",
  },
  /** `QWindow *QWidget::windowHandle() const` */
  windowHandle: {
    name: "_ZNK7QWidget12windowHandleEv",
    parameters: ["pointer"],
    result: "pointer",
  },
  /** `QVBoxLayout::QVBoxLayout(QWidget *parent)` */
  newVerticalLayout: {
    name: "_ZN11QVBoxLayoutC1EP7QWidget",
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `void QBoxLayout::addWidget(QWidget *widget, int stretch, Qt::Alignment alignment)` */
  addWidget: {
    name: "_ZN10QBoxLayout9addWidgetEP7QWidgeti6QFlagsIN2Qt13AlignmentFlagEE",
    parameters: ["pointer", "pointer", "i32", "u32"],
    result: "void",
  },
  /** `QLabel::QLabel(QWidget *parent, Qt::WindowFlags flags)` */
  newLabel: {
    name: "_ZN6QLabelC1EP7QWidget6QFlagsIN2Qt10WindowTypeEE",
    parameters: ["pointer", "pointer", "u32"],
    result: "void",
  },
  /** `void QLabel::setText(const QString &text)` */
  setLabelText: {
    name: "_ZN6QLabel7setTextERK7QString",
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `QPushButton::QPushButton(QWidget *parent)` */
  newButton: {
    name: "_ZN11QPushButtonC1EP7QWidget",
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `void QAbstractButton::setText(const QString &text)` */
  setButtonText: {
    name: "_ZN15QAbstractButton7setTextERK7QString",
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `void QAbstractButton::clicked(bool checked)`, a signal */
  clicked: { name: "_ZN15QAbstractButton7clickedEb", type: "pointer" },
  /** `static const QMetaObject QAbstractButton::staticMetaObject` */
  buttonMetaObject: {
    name: "_ZN15QAbstractButton16staticMetaObjectE",
    type: "pointer",
  },
  /** `void QWindow::visibleChanged(bool visible)`, a signal */
  visibleChanged: { name: "_ZN7QWindow14visibleChangedEb", type: "pointer" },
  /** `static const QMetaObject QWindow::staticMetaObject` */
  windowMetaObject: { name: "_ZN7QWindow16staticMetaObjectE", type: "pointer" },
  /**
   * `static QMetaObject::Connection QObject::connectImpl(const QObject *sender, void **signal, const QObject *receiver, void **slot, QtPrivate::QSlotObjectBase *slotObject, Qt::ConnectionType type, const int *types, const QMetaObject *senderMetaObject)`
   *
   * A Connection is one pointer, but has a destructor: C++ returns it in memory
   * that the caller gives, as C does with what is too large for registers.
   */
  connect: {
    name:
      "_ZN7QObject11connectImplEPKS_PPvS1_S3_PN9QtPrivate15QSlotObjectBaseEN2Qt14ConnectionTypeEPKiPK11QMetaObject",
    parameters: [
      "pointer",
      "buffer",
      "pointer",
      "pointer",
      "pointer",
      "i32",
      "pointer",
      "pointer",
    ],
    result: { struct: ["u64", "u64", "u64"] },
  },
} as const;

/**
 * Sizes of strings are `int` in Qt 5 and `qsizetype` in Qt 6, which their names
 * tell. In a register an `int` does not mind what is above it.
 */
const STRING_SYMBOLS = {
  5: stringSymbols("i"),
  6: stringSymbols("x"),
} as const;

function stringSymbols(size: "i" | "x") {
  return {
    /** `QString::QString(const QChar *unicode, qsizetype size)` */
    newString: {
      name: `_ZN7QStringC1EPK5QChar${size}`,
      parameters: ["pointer", "pointer", "isize"],
      result: "void",
    },
    /** `QString &QString::setUnicode(const QChar *unicode, qsizetype size)` */
    setUnicode: {
      name: `_ZN7QString10setUnicodeEPK5QChar${size}`,
      parameters: ["pointer", "buffer", "isize"],
      result: "pointer",
    },
  } as const;
}

/** Which Qt's header the constructor of QApplication was compiled with. */
const BUILT_WITH = { 5: 0x050f00, 6: 0x060200 } as const;

/** More than any class here needs. */
const ROOM = 256n;

/** `Qt::AutoConnection`: within one thread, the slot is called at once. */
const AUTO_CONNECTION = 0;

type Pointer = Deno.PointerObject;

/** Qt, with an application object. A process can have one, of one version. */
export class Qt {
  readonly #cxx: Cxx;

  /** Starts Qt. */
  constructor(version: QtVersion) {
    this.#cxx = new Cxx(version);
    const { qt, create } = this.#cxx;
    const { argc, argv } = commandLine("qt");
    create((app) => qt.newApplication(app, argc, argv, BUILT_WITH[version]));
    // Whoever hears of the last window's end decides what to do.
    qt.setQuitOnLastWindowClosed(false);
  }

  /** Makes a window; nothing is seen of it yet. */
  window(title: string): Window {
    return new Window(this.#cxx, title);
  }

  /** Runs Qt's event loop, until `exit()`. */
  exec(): void {
    this.#cxx.qt.exec();
  }

  /** Ends Qt's event loop. (`quit()` of Qt 6 would close all windows first.) */
  exit(): void {
    this.#cxx.qt.exit(0);
  }
}

/** A window with labels and buttons, one below the other. */
export class Window {
  readonly #cxx: Cxx;
  readonly #widget: Pointer;
  readonly #layout: Pointer;

  /** Is called by `Qt.window()`. */
  constructor(cxx: Cxx, title: string) {
    const { qt, create, string } = this.#cxx = cxx;
    this.#widget = create((widget) => qt.newWidget(widget, null, 0));
    this.#layout = create((it) => qt.newVerticalLayout(it, this.#widget));
    qt.setWindowTitle(this.#widget, string(title));
    qt.setMinimumSize(this.#widget, 320, 0);
  }

  /** Adds a label. */
  label(text: string): Text {
    const { qt, create, string } = this.#cxx;
    const label = create((label) => qt.newLabel(label, null, 0));
    return this.#add(label, text, (text) => {
      qt.setLabelText(label, string(text));
    });
  }

  /** Adds a button, and says what a click on it does. */
  button(text: string, clicked: () => void): Text {
    const { qt, create, string } = this.#cxx;
    const button = create((button) => qt.newButton(button, null));
    this.#cxx.connect(button, qt.clicked, qt.buttonMetaObject, clicked);
    return this.#add(button, text, (text) => {
      qt.setButtonText(button, string(text));
    });
  }

  /** Puts the window on the screen, and says what its close button does. */
  show(closed: () => void): void {
    const { qt, connect } = this.#cxx;
    qt.show(this.#widget);
    // A closed window has become invisible. (What is meant for this,
    // QGuiApplication::lastWindowClosed, is silent outside of exec().)
    const window = qt.windowHandle(this.#widget)!;
    connect(window, qt.visibleChanged, qt.windowMetaObject, (args) => {
      const visible = new Deno.UnsafePointerView(args!).getPointer(8)!;
      if (!new Deno.UnsafePointerView(visible).getBool()) closed();
    });
  }

  #add(widget: Pointer, text: string, setText: (text: string) => void): Text {
    this.#cxx.qt.addWidget(this.#layout, widget, 0, 0);
    setText(text);
    return { setText };
  }
}

/** A label or a button. */
export interface Text {
  /** Shows another text. */
  setText(text: string): void;
}

/** What C++ code would write in a word. */
class Cxx {
  readonly qt: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
  /** A `const QString &`, good until the next one is made. */
  readonly string: (text: string) => Pointer;

  constructor(version: QtVersion) {
    this.qt = openToolkit(WIDGETS[version], SYMBOLS);
    const { newString, setUnicode } = openToolkit(
      WIDGETS[version],
      STRING_SYMBOLS[version],
    );
    // One object for all texts. Qt copies what it is given; or rather shares it,
    // until this is written to again.
    const string = this.create((string) => newString(string, null, 0n));
    this.string = (text) => {
      const units = Uint16Array.from(text, (_, i) => text.charCodeAt(i));
      setUnicode(string, units, BigInt(text.length));
      return string;
    };
  }

  /** `new`. */
  readonly create = (construct: (memory: Pointer) => void): Pointer => {
    const memory = this.qt.operatorNew(ROOM)!;
    construct(memory);
    return memory;
  };

  /** `QObject::connect()`: calls `f` whenever `sender` emits the signal. */
  readonly connect = (
    sender: Pointer,
    signal: Deno.PointerValue,
    metaObject: Deno.PointerValue,
    f: (args: Deno.PointerValue) => void,
  ): void => {
    // A pointer to a member: the function, and what to add to the object's.
    const member = new BigUint64Array([Deno.UnsafePointer.value(signal), 0n]);
    const slot = slotObject((args) => guarded(() => f(args)));
    this.qt.connect(
      sender,
      member,
      sender,
      null,
      slot,
      AUTO_CONNECTION,
      null,
      metaObject,
    );
  };
}
