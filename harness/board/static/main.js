"use strict";
// Which view the address asks for; nothing here knows what a view shows.
(() => {
  const { h } = board;
  const main = document.getElementById("main");
  let first = true;
  let turn = 0;

  const pages = () => {
    const { index } = board;
    const unexpected = index.changes
      ? index.changes.groups
          .filter(([kind]) => kind === "regressed")
          .reduce((sum, [, rows]) => sum + rows.length, 0)
      : 0;
    return [
      ["Matrix", [], true],
      ["Capabilities", ["capabilities"], true],
      [unexpected ? `Changes (${unexpected} regressed)` : "Changes", ["changes"], index.changes],
      ["Mutants", ["mutants"], index.mutants.length],
      ["Explorer", ["explorer"], index.explored.length],
      ["Benchmarks", ["bench"], index.bench.length],
    ].filter(([, , there]) => there);
  };

  const show = async () => {
    const mine = ++turn;
    const { parts, parameters } = board.route();
    const [name = "matrix", ...rest] = parts;
    let content;
    try {
      board.index = await board.load("index");
      const view = board.views[Object.hasOwn(board.views, name) ? name : "matrix"];
      content = await view(parameters, rest);
    } catch (error) {
      content = [
        h("h1", { tabindex: "-1" }, "The data cannot be read"),
        h("p", null, String(error.message || error)),
      ];
    }
    if (mine !== turn) return; // somebody went on meanwhile
    main.replaceChildren(
      ...content.flat(Infinity).filter((one) => one !== null && one !== undefined),
    );
    if (board.index)
      document.getElementById("nav").replaceChildren(
        ...pages().map(([title, path]) =>
          h(
            "a",
            {
              href: board.link(path),
              "aria-current": (path[0] || "matrix") === name ? "page" : null,
            },
            title,
          ),
        ),
      );
    const heading = main.querySelector("h1");
    document.title = `${heading ? heading.textContent : "board"} – ${board.index ? board.index.title : "reactorlab"}`;
    if (!first) {
      scrollTo(0, 0);
      if (heading) heading.focus({ preventScroll: true });
    }
    first = false;
    document.documentElement.dataset.ready = name;
  };

  addEventListener("hashchange", show);
  addEventListener("keydown", (event) => {
    if (
      event.key !== "/" ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)
    )
      return;
    const box = document.getElementById("filter");
    if (!box) return;
    event.preventDefault();
    box.focus();
    box.select();
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  addEventListener("beforeprint", () =>
    document.querySelectorAll("main details").forEach((one) => (one.open = true)),
  );
  show();
})();
