/**
 * The lines of an HTTP/1.1 response around its body: what they mean, and which
 * of them cannot be (RFC 9112, RFC 9110).
 *
 * Leniency is no kindness here: a header that one program reads in one way and
 * the next in another is how responses are smuggled.
 *
 * @module
 */

import { MalformedResponseError } from "./http_errors.ts";

/** The first line of a response. */
export interface StatusLine {
  /** The minor version: 0 or 1, or one that is still to come. */
  readonly minor: number;
  readonly status: number;
  readonly statusText: string;
}

/** Responses without a body, whatever their header says (RFC 9110, 15). */
export const WITHOUT_BODY: readonly number[] = [204, 205, 304];

/** Says that a response is wrong. */
export function malformed(detail: string): MalformedResponseError {
  return new MalformedResponseError(`Cannot read the response: ${detail}`);
}

/** Makes a text of a line, byte by byte: nothing says that it is UTF-8. */
export function decodeLine(bytes: Uint8Array): string {
  let line = "";
  for (const byte of bytes) line += String.fromCharCode(byte);
  if (line.endsWith("\r")) line = line.slice(0, -1);
  if (/[\0\r]/.test(line)) {
    throw malformed(`a line has a control character in it: ${show(line)}`);
  }
  return line;
}

/** Reads the first line. */
export function parseStatusLine(line: string): StatusLine {
  const found = /^HTTP\/1\.(\d) ([1-5]\d\d)(?: ([\t -~\x80-\xff]*))?$/.exec(
    line,
  );
  if (found === null) {
    throw malformed(`this is no status of HTTP/1.1: ${show(line)}`);
  }
  const [, minor, status, statusText = ""] = found;
  return { minor: Number(minor), status: Number(status), statusText };
}

/** Reads the lines behind it. One that begins with a space goes on with the last. */
export function parseFields(lines: readonly string[]): Headers {
  const fields: string[] = [];
  for (const line of lines) {
    const folded = /^[ \t]+(.*)/.exec(line);
    if (folded === null) fields.push(line);
    else if (fields.length > 0) fields.push(`${fields.pop()} ${folded[1]}`);
    else throw malformed(`the header begins with a space: ${show(line)}`);
  }
  const headers = new Headers();
  for (const field of fields) {
    const found = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)$/.exec(field);
    if (found === null) {
      throw malformed(`this is no field of a header: ${show(field)}`);
    }
    headers.append(found[1]!, found[2]!); // Without the spaces around it.
  }
  return headers;
}

/** How long a body is: so many bytes, in chunks, or until the connection ends. */
export function bodyLength(
  { minor, status }: StatusLine,
  headers: Headers,
): number | "in chunks" | "until the end" {
  if (WITHOUT_BODY.includes(status)) return 0;
  const coding = headers.get("transfer-encoding");
  if (coding !== null) {
    // Version 1.0 knows nothing of it, so somebody in between passed it on.
    if (minor > 0 && coding.toLowerCase() === "chunked") return "in chunks";
    throw malformed(`nobody asked for this transfer coding: ${show(coding)}`);
  }
  const length = headers.get("content-length");
  if (length === null) return "until the end";
  // It may be there twice if both say the same.
  const [first, ...others] = length.split(",").map((part) => part.trim());
  if (!/^\d+$/.test(first!) || others.some((other) => other !== first)) {
    throw malformed(`this is no content length: ${show(length)}`);
  }
  return checkLength(Number(first), length);
}

/** Reads the line before a chunk. What may stand behind the size says nothing. */
export function parseChunkSize(line: string): number {
  const found = /^([0-9A-Fa-f]+)[ \t]*(?:;.*)?$/.exec(line);
  if (found === null) {
    throw malformed(`this is no size of a chunk: ${show(line)}`);
  }
  return checkLength(Number.parseInt(found[1]!, 16), line);
}

function checkLength(length: number, text: string): number {
  if (Number.isSafeInteger(length)) return length;
  throw malformed(`nothing is as long as this: ${show(text)}`);
}

/** A piece of what came, for a message. */
function show(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
