/**
 * Turns the text of a program into the text of the same program in steps: every
 * function becomes a generator, which gives way wherever it touches what another
 * thread can see.
 *
 * Nothing is known here of what the program does. Four rules are applied:
 *
 * - a function's body is a generator's, and a call whose result is a generator
 *   is delegated to (`yield*`), so it does not matter which functions give way;
 * - an element access, `a[i]`, is a call, since `a` may be shared memory;
 * - accessors become methods, because they could not give way;
 * - each place where a function can give way says which variables it has, and
 *   each closure which variables it has captured. With the class's fields, by
 *   `$state()`, that is all that a thread remembers.
 *
 * A constructor runs in one piece.
 *
 * @module
 */

import { parse } from "npm:acorn@^8.14.0";

/** A node of the syntax tree, as ESTree has it. */
interface Syntax {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** A variable, and from where in the text on it has a value. */
interface Variable {
  readonly name: string;
  readonly from: number;
}

/** What the text of a function, or of the whole, is in. */
interface Scope {
  readonly variables: readonly Variable[];
  /** The beginning of the function, if it is one's. */
  readonly functionAt: number | undefined;
}

/** A function that is being written. */
interface Body {
  /** Whether it runs in one piece. */
  readonly atomic: boolean;
  /** The results of its calls: each has a variable. */
  readonly results: string[];
  /** Those of them that the present statement may still need. */
  pending: string[];
}

/**
 * Transforms classes and functions.
 *
 * @param text Their declarations.
 */
export function toSteps(text: string): string {
  return new Transformation(text).run();
}

class Transformation {
  readonly #text: string;
  readonly #program: Syntax;
  readonly #getters = new Set<string>();
  readonly #setters = new Set<string>();
  #scopes: readonly Scope[] = [];
  #body: Body = { atomic: true, results: [], pending: [] };
  #sites = 0;

  constructor(text: string) {
    this.#text = text;
    this.#program = parse(text, { ecmaVersion: "latest" }) as never as Syntax;
    this.#collectAccessors(this.#program);
  }

  run(): string {
    return this.#write(this.#program);
  }

  #collectAccessors(node: Syntax): void {
    if (node.type === "MethodDefinition") {
      const name = nameOf(node["key"] as Syntax);
      if (node["kind"] === "get") this.#getters.add(name);
      if (node["kind"] === "set") this.#setters.add(name);
    }
    for (const child of childrenOf(node)) this.#collectAccessors(child);
  }

  #write(node: Syntax): string {
    switch (node.type) {
      case "ClassDeclaration":
        return this.#writeClass(node);
      case "MethodDefinition":
        return this.#writeMethod(node);
      case "FunctionDeclaration":
        return this.#writeFunctionDeclaration(node);
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        return this.#writeClosure(node);
      case "CallExpression":
        return this.#writeCall(node);
      case "ChainExpression":
        return this.#site(node, this.#writeSpine(node["expression"] as Syntax));
      case "MemberExpression":
        return this.#writeMember(node);
      case "AssignmentExpression":
        return this.#writeAssignment(node);
      case "UpdateExpression":
        return this.#writeUpdate(node);
      case "VariableDeclarator":
        return this.#writeDeclarator(node);
      case "AwaitExpression":
        return this.#site(
          node,
          `$await(${this.#write(node["argument"] as Syntax)})`,
        );
      case "VariableDeclaration":
      case "ExpressionStatement":
      case "ReturnStatement":
      case "ThrowStatement":
      case "IfStatement":
      case "SwitchStatement":
      case "WhileStatement":
        return this.#asStatement(() => this.#writeChildren(node));
      case "BlockStatement":
        return this.#inScope(
          { variables: declaredIn(node["body"] as Syntax[]) },
          () => this.#writeChildren(node),
        );
      case "ForStatement":
      case "ForOfStatement":
        return this.#asStatement(() => this.#writeFor(node));
      case "CatchClause":
        return this.#inScope({
          variables: node["param"] === null ? [] : variablesOf(
            node["param"] as Syntax,
            (node["body"] as Syntax).start,
          ),
        }, () => this.#writeChildren(node));
      case "DoWhileStatement":
      case "ForInStatement":
      case "TaggedTemplateExpression":
      case "YieldExpression":
      case "ClassExpression":
        throw new Error(`Cannot transform: ${this.#textOf(node)}`);
      default:
        return this.#writeChildren(node);
    }
  }

  /** The text of a node, with the text of its children replaced. */
  #writeChildren(
    node: Syntax,
    write = (child: Syntax) => this.#write(child),
  ): string {
    let at = node.start;
    let result = "";
    for (const child of childrenOf(node)) {
      result += this.#text.slice(at, child.start) + write(child);
      at = child.end;
    }
    return result + this.#text.slice(at, node.end);
  }

  // Functions and classes

  #writeClass(node: Syntax): string {
    const members = (node["body"] as Syntax)["body"] as Syntax[];
    const fields = members
      .filter(({ type, ...rest }) =>
        type === "PropertyDefinition" && rest["static"] !== true
      )
      .map((member) => `this.${nameOf(member["key"] as Syntax)}`);
    const text = this.#writeChildren(node);
    return `${text.slice(0, -1)} $state() { return [${fields}]; } }`;
  }

  #writeMethod(node: Syntax): string {
    const key = node["key"] as Syntax;
    const f = node["value"] as Syntax;
    const name = this.#textOf(key);
    const prefix = node["static"] === true ? "static " : "";
    const params = this.#paramsOf(f);
    switch (node["kind"]) {
      case "constructor":
        return `constructor(${params}) ${this.#writeBody(f, true)}`;
      case "get":
        return `${prefix}get ${name}() { return (function* () ${
          this.#writeBody(f)
        }).call(this); }`;
      case "set":
        return `${prefix}*$set_${name}(${params}) ${this.#writeBody(f)}`;
      default:
        return f["async"] === true
          ? `${prefix}${name}(${params}) { return $spawn((function* () ${
            this.#writeBody(f)
          }).call(this)); }`
          : `${prefix}*${name}(${params}) ${this.#writeBody(f)}`;
    }
  }

  #writeFunctionDeclaration(node: Syntax): string {
    const name = nameOf(node["id"] as Syntax);
    return `function* ${name}(${this.#paramsOf(node)}) ${
      this.#writeBody(node)
    }`;
  }

  #writeClosure(node: Syntax): string {
    const names = namesIn(node);
    const captured = this.#variablesAt(node.start)
      .filter((name) => names.has(name));
    if (names.has("this")) captured.push("this");
    const body = `(function* () ${this.#writeBody(node)}).call(this)`;
    return `$closure(${this.#sites++}, () => [${captured}], (${
      this.#paramsOf(node)
    }) => ${node["async"] === true ? `$spawn(${body})` : body})`;
  }

  #paramsOf(f: Syntax): string {
    return (f["params"] as Syntax[]).map((param) => this.#textOf(param))
      .join(", ");
  }

  #writeBody(f: Syntax, atomic = false): string {
    const outer = this.#body;
    const own: Body = { atomic, results: [], pending: [] };
    const content = f["body"] as Syntax;
    this.#body = own;
    const variables = (f["params"] as Syntax[])
      .flatMap((param) => variablesOf(param, content.start));
    const text = this.#inScope(
      { variables, functionAt: f.start },
      () =>
        content.type === "BlockStatement"
          ? this.#write(content)
          : `{ return (${this.#write(content)}); }`,
    );
    this.#body = outer;
    const { results } = own;
    return results.length === 0
      ? text
      : text.replace("{", () => `{ var ${results};`);
  }

  // Places where a function may give way

  /** A place that calls something which may be in steps. */
  #site(node: Syntax, call: string): string {
    const body = this.#body;
    if (body.atomic) return `$atOnce(${call})`;
    const site = this.#sites++;
    const result = `$r${site}`;
    const known = [...this.#variablesAt(node.start), ...body.pending];
    body.results.push(result);
    body.pending.push(result);
    return `(${result} = ${call}, ${result} instanceof $Steps ? ${result} = ` +
      `yield* $inside(${result}, ${site}, () => [${known}]) : ${result})`;
  }

  #writeCall(node: Syntax): string {
    const callee = node["callee"] as Syntax;
    if (
      callee.type === "MemberExpression" &&
      nameOf(callee["property"] as Syntax) === "map"
    ) {
      const [f] = node["arguments"] as Syntax[];
      return this.#site(
        node,
        `$map(${this.#write(callee["object"] as Syntax)}, ${this.#write(f!)})`,
      );
    }
    return this.#site(node, this.#writeSpine(node));
  }

  /** A chain of members and calls, of which only the whole is a place. */
  #writeSpine(node: Syntax): string {
    return this.#writeChildren(node, (child) => {
      if (child === node["callee"]) {
        return child.type === "MemberExpression"
          ? this.#writeCallee(child)
          : this.#write(child);
      }
      return node.type === "MemberExpression" && child === node["property"] &&
          node["computed"] !== true
        ? this.#textOf(child)
        : this.#write(child);
    });
  }

  /** The function and the object that it is called on belong together. */
  #writeCallee(node: Syntax): string {
    return this.#writeChildren(
      node,
      (child) =>
        child === node["object"] || node["computed"] === true
          ? this.#write(child)
          : this.#textOf(child),
    );
  }

  #writeMember(node: Syntax): string {
    if (node["computed"] === true) {
      const object = this.#write(node["object"] as Syntax);
      const index = this.#write(node["property"] as Syntax);
      return this.#body.atomic
        ? `${object}[${index}]`
        : this.#site(node, `$element(${object}, ${index})`);
    }
    const text = this.#writeCallee(node);
    return this.#getters.has(nameOf(node["property"] as Syntax))
      ? this.#site(node, text)
      : text;
  }

  #writeAssignment(node: Syntax): string {
    const target = node["left"] as Syntax;
    const value = node["right"] as Syntax;
    if (target.type !== "MemberExpression") return this.#writeChildren(node);
    const object = target["object"] as Syntax;
    const name = nameOf(target["property"] as Syntax);
    if (target["computed"] !== true) {
      if (!this.#setters.has(name)) {
        return `${this.#writeCallee(target)} ${node["operator"]} ${
          this.#write(value)
        }`;
      }
      return this.#site(
        node,
        `${this.#write(object)}.$set_${name}(${this.#write(value)})`,
      );
    }
    return this.#writeStore(
      target,
      node["operator"] as string,
      this.#write(value),
    );
  }

  /** What is taken apart may have accessors. */
  #writeDeclarator(node: Syntax): string {
    const pattern = node["id"] as Syntax;
    const value = node["init"] as Syntax | null;
    if (pattern.type !== "ObjectPattern" || value === null) {
      return this.#writeChildren(node);
    }
    const names = (pattern["properties"] as Syntax[])
      .map((property) => nameOf(property["key"] as Syntax));
    if (!names.some((name) => this.#getters.has(name))) {
      return this.#writeChildren(node);
    }
    const call = `$members(${this.#write(value)}, ${JSON.stringify(names)})`;
    return `${this.#textOf(pattern)} = ${this.#site(node, call)}`;
  }

  #writeUpdate(node: Syntax): string {
    const target = node["argument"] as Syntax;
    if (target.type !== "MemberExpression" || target["computed"] !== true) {
      return this.#writeChildren(node, (child) => this.#writeCallee(child));
    }
    // The value is the new one, which is nobody's concern in a statement.
    return this.#writeStore(target, `${(node["operator"] as string)[0]}=`, "1");
  }

  #writeStore(target: Syntax, operator: string, value: string): string {
    const object = this.#write(target["object"] as Syntax);
    const index = this.#write(target["property"] as Syntax);
    if (this.#body.atomic) return `${object}[${index}] ${operator} ${value}`;
    const right = operator === "="
      ? value
      : `${this.#writeMember(target)} ${operator.slice(0, -1)} (${value})`;
    return this.#site(target, `$setElement(${object}, ${index}, ${right})`);
  }

  // Statements and scopes

  /** In a statement, only what it has called itself can still be needed. */
  #asStatement(write: () => string): string {
    const body = this.#body;
    const { pending } = body;
    body.pending = [];
    const text = write();
    body.pending = pending;
    return text;
  }

  #writeFor(node: Syntax): string {
    const head = (node["init"] ?? node["left"]) as Syntax | null;
    const isDeclaration = head?.type === "VariableDeclaration";
    // Of a for-of loop's variable there is a value inside only.
    const from = node.type === "ForOfStatement"
      ? (node["body"] as Syntax).start
      : undefined;
    return this.#inScope({
      variables: isDeclaration ? declaredIn([head], from) : [],
    }, () => this.#writeChildren(node));
  }

  #inScope(
    { variables, functionAt }: {
      variables: readonly Variable[];
      functionAt?: number;
    },
    write: () => string,
  ): string {
    const outer = this.#scopes;
    this.#scopes = [...outer, { variables, functionAt }];
    const text = write();
    this.#scopes = outer;
    return text;
  }

  /** The variables that have a value at a place of the text. */
  #variablesAt(position: number): string[] {
    const names = new Map<string, boolean>();
    let at = position;
    for (const { variables, functionAt } of this.#scopes.toReversed()) {
      for (const { name, from } of variables) {
        // An inner one hides an outer one, even before it has a value.
        if (!names.has(name)) names.set(name, from <= at);
      }
      // A function finds around it what was there when it was made.
      if (functionAt !== undefined) at = functionAt;
    }
    return [...names.keys()].filter((name) => names.get(name));
  }

  #textOf(node: Syntax): string {
    return this.#text.slice(node.start, node.end);
  }
}

function isSyntax(value: unknown): value is Syntax {
  return typeof value === "object" && value !== null && "type" in value;
}

/** The nodes inside a node, in the order of the text. */
function childrenOf(node: Syntax): Syntax[] {
  const children = Object.values(node).flat().filter(isSyntax);
  // `{ a }` has the same node for its key and its value.
  return children
    .filter(({ start }, i) => children.findIndex((c) => c.start === start) >= i)
    .toSorted((a, b) => a.start - b.start);
}

/** The names that occur in a node, and "this". */
function namesIn(node: Syntax): Set<string> {
  const names = new Set<string>();
  const work = [node];
  for (let next; (next = work.pop()) !== undefined;) {
    if (next.type === "Identifier") names.add(nameOf(next));
    if (next.type === "ThisExpression") names.add("this");
    work.push(...childrenOf(next));
  }
  return names;
}

function nameOf(node: Syntax): string {
  return node.type === "PrivateIdentifier"
    ? `#${node["name"]}`
    : String(node["name"] ?? node["value"]);
}

/** The variables that statements declare, without those of their blocks. */
function declaredIn(
  statements: readonly Syntax[],
  from?: number,
): Variable[] {
  return statements
    .filter(({ type }) => type === "VariableDeclaration")
    .flatMap(({ declarations }) => declarations as Syntax[])
    .flatMap(({ id, end }) => variablesOf(id as Syntax, from ?? end));
}

function variablesOf(pattern: Syntax, from: number): Variable[] {
  switch (pattern.type) {
    case "Identifier":
      return [{ name: nameOf(pattern), from }];
    case "AssignmentPattern":
      return variablesOf(pattern["left"] as Syntax, from);
    case "RestElement":
      return variablesOf(pattern["argument"] as Syntax, from);
    case "ArrayPattern":
      return (pattern["elements"] as (Syntax | null)[])
        .flatMap((element) =>
          element === null ? [] : variablesOf(element, from)
        );
    case "ObjectPattern":
      return (pattern["properties"] as Syntax[])
        .flatMap((p) => variablesOf((p["value"] ?? p) as Syntax, from));
    default:
      throw new Error(`Cannot transform the pattern ${pattern.type}`);
  }
}
