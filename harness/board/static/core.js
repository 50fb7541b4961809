"use strict";
// What the other scripts stand on: elements out of text nodes, and chunks of data.
const board = { views: {}, chunks: new Map(), index: null };

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  const make = (element, attributes, children) => {
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined));
    return element;
  };

  /** An element; children are elements or texts, and a text stays one. */
  board.h = (tag, attributes, ...children) =>
    make(document.createElement(tag), attributes, children);
  board.svg = (tag, attributes, ...children) =>
    make(document.createElementNS(SVG, tag), attributes, children);

  /** Called by the files of a board that is a folder. */
  board.receive = (name, data) => {
    const waiting = board.chunks.get(name);
    if (waiting) waiting.resolve(data);
  };

  const inside = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  /** The data of a chunk, from inside the page or from a file beside it. */
  board.load = (name) => {
    let found = board.chunks.get(name);
    if (!found) {
      found = {};
      found.promise = new Promise((resolve, reject) => {
        found.resolve = resolve;
        const element = document.getElementById(`chunk-${name}`);
        if (element) inside(element).then(resolve, reject);
        else {
          const script = board.h("script", {
            src: `data/${name}.js`,
            onerror: () => reject(new Error(`data/${name}.js cannot be read`)),
          });
          document.head.append(script);
        }
      });
      board.chunks.set(name, found);
    }
    return found.promise;
  };

  /** The address of a view: a path of parts, and parameters. */
  board.link = (parts, parameters) => {
    const query = new URLSearchParams(
      Object.entries(parameters || {}).filter(([, value]) => value !== "" && value !== null),
    ).toString();
    return `#/${parts.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
  };

  board.route = () => {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const parts = path
      .split("/")
      .filter(Boolean)
      .map((part) => {
        try {
          return decodeURIComponent(part);
        } catch {
          return part; // typed by hand
        }
      });
    return { parts, parameters: new URLSearchParams(query || "") };
  };

  /** Keep the state of the present view in its address, without a step of history for each letter. */
  board.remember = (parts, parameters) =>
    history.replaceState(null, "", board.link(parts, parameters));
})();
