"use strict";
// What several pages show alike: statuses, links, tables, drawings.
(() => {
  const { h, svg } = board;
  const APART = ["UNSUPPORTED", "SKIP", "NOTRUN"];

  board.word = (status) => board.index.statuses[status][0];
  board.glyph = (status) => board.index.statuses[status][1];
  /** Whether a status says nothing about the subject. */
  board.apart = (status) => APART.includes(board.word(status));

  board.chip = (status, more = "", unexpected = false) =>
    h(
      "span",
      { class: `st ${board.word(status)}${unexpected ? " unexpected" : ""}` },
      `${board.glyph(status)} ${board.word(status)}${more}`,
    );

  board.scenarioLink = (id, at) =>
    h(
      "a",
      { class: "id", href: board.link(["scenario", id], { at: at === undefined ? "" : at }) },
      id,
    );
  board.columnLink = (number) =>
    h(
      "a",
      { href: board.link(["column", board.index.columns[number].name]) },
      board.index.columns[number].name,
    );

  /** A text whose web addresses lead there. */
  board.linked = (text) => {
    const made = [];
    let done = 0;
    for (const match of text.matchAll(/https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]]/g)) {
      made.push(
        text.slice(done, match.index),
        h("a", { href: match[0], rel: "noreferrer" }, match[0]),
      );
      done = match.index + match[0].length;
    }
    return [...made, text.slice(done)];
  };

  board.seconds = (value) =>
    value >= 100
      ? `${value.toFixed(0)} s`
      : value >= 1
        ? `${value.toFixed(2)} s`
        : value >= 0.1
          ? `${(value * 1000).toFixed(0)} ms`
          : `${(value * 1000).toFixed(1)} ms`;
  board.counted = (number, noun) =>
    `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  /** A table that scrolls by itself where the page is too narrow; heads of numbers stand over them. */
  board.table = (label, head, rows, more = {}) => {
    const first = rows.flat(Infinity).find((row) => row && row.children.length === head.length);
    const number = (at) => first && first.children[at].classList.contains("number");
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      h(
        "table",
        more,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            head.map((one, at) => h("th", { scope: "col", class: number(at) && "number" }, one)),
          ),
        ),
        h("tbody", null, rows),
      ),
    );
  };

  board.facts = (pairs) =>
    h(
      "dl",
      { class: "facts" },
      Object.entries(pairs).map(([name, value]) =>
        h("div", null, h("dt", null, name), h("dd", null, value)),
      ),
    );

  board.shares = (counts) => {
    const total = counts.reduce((sum, one) => sum + one, 0);
    let x = 0;
    return svg(
      "svg",
      {
        class: "share",
        viewBox: `0 0 ${total || 1} 1`,
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      },
      counts.map((count, status) => {
        const at = x;
        x += count;
        return count
          ? svg("rect", { class: `fill-${board.word(status)}`, x: at, width: count, height: 1 })
          : null;
      }),
    );
  };

  board.counts = (counts) =>
    h(
      "ul",
      { class: "counts", "aria-label": "Results by status" },
      counts.map((count, status) =>
        count
          ? h("li", null, board.chip(status), " ", h("b", null, count.toLocaleString("en")))
          : null,
      ),
    );

  board.legend = () =>
    h(
      "details",
      { class: "legend" },
      h("summary", null, "What the words and marks mean"),
      h(
        "dl",
        null,
        board.index.statuses.map(([, , meaning], status) =>
          h("div", null, h("dt", null, board.chip(status)), h("dd", null, meaning)),
        ),
      ),
      h(
        "p",
        null,
        "A thick border marks an ",
        h("b", null, "unexpected"),
        " result: what a run fails for. A PASS can be one, where the expectation file says otherwise. ",
        h("em", null, "info"),
        " only informs; ",
        h("em", null, "known"),
        " is a failure that is expected, with a reason. UNSUPPORTED is no failure: what is missing stands under Capabilities. ×3 are three attempts; ◇ is a permitted outcome that the scenario declares.",
      ),
    );

  /** The operations of an attempt as bars over time: one lane for each task, peer and thread. */
  board.lanes = (cell, text, label) => {
    const { timeline } = cell;
    if (timeline.length < 2) return null;
    const WIDTH = 620,
      LEFT = 128,
      ROW = 22;
    const begin = timeline[0][0],
      end = Math.max(...timeline.map((event) => event[0]));
    const x = (index) =>
      LEFT + ((timeline[index][0] - begin) / (end - begin || 1)) * (WIDTH - LEFT - 16) + 4;
    const say = (index) => {
      const [t, thread, , event, detail] = timeline[index];
      return `${((t - begin) / 1000).toFixed(3)} ms: ${text(event)} ${text(detail)} (${text(thread)})`;
    };
    const lanes = cell.lanes.slice(0, 40);
    const ticks = [0, 0.25, 0.5, 0.75, 1];
    const height = lanes.length * ROW + 24;
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      svg(
        "svg",
        {
          class: "lanes",
          viewBox: `0 0 ${WIDTH} ${height}`,
          role: "img",
          "aria-label": `${label}; the timeline table below has the same events`,
        },
        ticks.map((part) => {
          const at = LEFT + part * (WIDTH - LEFT - 16) + 4;
          return [
            svg("line", { class: "tick", x1: at, x2: at, y1: 0, y2: height - 20 }),
            svg(
              "text",
              {
                x: at,
                y: height - 6,
                "text-anchor": part === 1 ? "end" : part ? "middle" : "start",
              },
              `${((part * (end - begin)) / 1000).toFixed(2)} ms`,
            ),
          ];
        }),
        lanes.map(([name, spans, points, thread], row) => {
          const y = row * ROW;
          const said = `${thread ? "thread " : ""}${text(name)}`;
          return svg(
            "g",
            null,
            svg("line", { x1: LEFT, x2: WIDTH, y1: y + 11, y2: y + 11 }),
            svg(
              "text",
              { x: LEFT - 8, y: y + 15, "text-anchor": "end" },
              said.length > 18 ? `${said.slice(0, 17)}…` : said,
              svg("title", null, said),
            ),
            spans.map(([from, to]) =>
              svg(
                "rect",
                {
                  class: to === null ? "unended" : "bar",
                  x: x(from),
                  y: y + 5,
                  rx: 3,
                  height: 12,
                  width: Math.max((to === null ? WIDTH - 12 : x(to)) - x(from), 3),
                },
                svg(
                  "title",
                  null,
                  `${said}: ${say(from)} … ${to === null ? "it never ended" : say(to)}`,
                ),
              ),
            ),
            points.map((at) =>
              svg(
                "circle",
                { class: thread ? "thread" : "", cx: x(at), cy: y + 11, r: thread ? 3 : 4 },
                svg("title", null, say(at)),
              ),
            ),
          );
        }),
      ),
    );
  };
})();
