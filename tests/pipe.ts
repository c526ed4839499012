/**
 * A pipe, and objects that read from it and write to it.
 *
 * @module
 */

import type { ReadDescriptor, WriteDescriptor } from "../src/descriptors.ts";
import { FileDescriptor } from "../src/file_descriptor.ts";

/** A pipe, closed at the end of the block. */
export class Pipe implements Disposable {
  /** Where to read. */
  readonly output: FileDescriptor;
  /** Where to write. */
  readonly input: FileDescriptor;

  /** Makes it. */
  constructor() {
    [this.output, this.input] = FileDescriptor.pipe();
  }

  /** Puts bytes into it. */
  fill(count = 1): void {
    this.input.write(new Uint8Array(count));
  }

  /** A reader that takes one byte at each call, and then does as it is told. */
  reader(
    doRead: () => unknown,
    connectionLost: (reason: Error) => void = ignore,
  ): ReadDescriptor {
    return {
      fileno: () => this.output.fileno(),
      doRead: () => {
        this.output.read(new Uint8Array(1));
        return doRead();
      },
      connectionLost,
    };
  }

  /** A writer that writes nothing and does as it is told. */
  writer(
    doWrite: () => unknown,
    connectionLost: (reason: Error) => void = ignore,
  ): WriteDescriptor {
    return { fileno: () => this.input.fileno(), doWrite, connectionLost };
  }

  /** Closes both ends. */
  [Symbol.dispose](): void {
    this.input.close();
    this.output.close();
  }
}

function ignore(): void {}
