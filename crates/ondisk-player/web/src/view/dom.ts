// Elements: made by name and attributes, and kept in step with a list.
//
// Invariant: what comes from a file or a person becomes text, an attribute that runs nothing or a
// property of our own; never markup.

/** What an element can hold; `null` and `false` are left out. */
export type Child = Node | string | number | null | false | undefined;

/** What an element is made with: attributes, listeners by `on…`, `class`, and `data-…`. */
export type Attrs = Record<string, string | number | boolean | null | undefined | EventListener>;

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element. `true` sets an attribute without value; `false` and `null` leave it out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attrs?: Attrs | null,
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  furnish(element, attrs ?? {}, children);
  return element;
}

/** Makes an element of a drawing. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attrs?: Attrs | null,
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag) as SVGElementTagNameMap[K];
  furnish(element, attrs ?? {}, children);
  return element;
}

function furnish(element: Element, attrs: Attrs, children: Child[]): void {
  for (const [name, value] of Object.entries(attrs)) set(element, name, value);
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(asNode(child));
  }
}

function asNode(child: Node | string | number): Node {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** Sets or removes one attribute, or adds a listener; touches nothing that is as it should be. */
export function set(element: Element, name: string, value: Attrs[string]): void {
  if (typeof value === "function") {
    element.addEventListener(name.slice(2).toLowerCase(), value);
  } else if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Puts a text into an element, if it is another one. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Leaves exactly these children in an element. */
export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren();
  furnish(parent, {}, children);
}

const kept = new WeakMap<Element, Map<string, Element>>();

/**
 * Keeps the children of an element in step with a list: one child for each item, found again by its
 * key, in the order of the items. Whatever else `parent` holds is left alone in front of them. An
 * item whose key came before in the list is left out.
 */
export function reconcile<T, E extends Element>(
  parent: Element,
  items: Iterable<T>,
  key: (item: T) => string | number,
  make: (item: T) => E,
  update?: (element: E, item: T) => void,
): void {
  const before = kept.get(parent) ?? new Map<string, Element>();
  const after = new Map<string, Element>();
  const made: E[] = [];
  for (const item of items) {
    const name = String(key(item));
    if (after.has(name)) continue;
    const element = (before.get(name) as E | undefined) ?? make(item);
    update?.(element, item);
    after.set(name, element);
    made.push(element);
  }
  for (const [name, element] of before) if (!after.has(name)) element.remove();
  let next: ChildNode | null = null;
  for (const element of made.reverse()) {
    if (element.parentNode !== parent || element.nextSibling !== next) {
      parent.insertBefore(element, next);
    }
    next = element;
  }
  kept.set(parent, after);
}
