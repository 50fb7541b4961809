"use strict";
// Drawings of numbers: bars in rows, and curves. A table beside each of them says the same.
(() => {
  const { h, svg } = board;

  const framed = (label, kind, width, height, ...children) =>
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      svg(
        "svg",
        {
          class: `plot ${kind}`,
          viewBox: `0 0 ${width} ${height}`,
          role: "img",
          "aria-label": `${label}; the table of this case or curve has the numbers`,
        },
        children,
      ),
    );

  /** One row for each subject: `draw` makes it out of a scale and its middle, `said` is its number. */
  board.rows = (label, rows, { top, draw, said }) => {
    const WIDTH = 600,
      LEFT = 140,
      RIGHT = 155,
      ROW = 26;
    const most = Math.max(...rows.map(top), 1e-9);
    const x = (value) => LEFT + (value / most) * (WIDTH - LEFT - RIGHT);
    return framed(
      label,
      "rows",
      WIDTH,
      rows.length * ROW + 4,
      rows.map((row, at) => {
        const y = at * ROW + ROW / 2;
        return svg(
          "g",
          { class: row.kind },
          svg("text", { x: LEFT - 10, y: y + 4, "text-anchor": "end" }, row.name),
          draw(row, x, y),
          svg("text", { class: "value", x: x(top(row)) + 12, y: y + 4 }, said(row)),
        );
      }),
    );
  };

  board.bar = (x, y, from, to, more = "") =>
    svg("rect", {
      class: `bar ${more}`,
      x: x(from),
      y: y - 8,
      width: Math.max(x(to) - x(from), 1),
      height: 16,
      rx: 2,
    });

  const scale = (values, from, to, fromZero) => {
    const known = values.filter((value) => value > 0);
    const least = Math.min(...values),
      most = Math.max(...values);
    const logarithmic = least > 0 && most / least >= 20;
    const of = (value) => (logarithmic ? Math.log10(value) : value);
    const low = logarithmic ? of(least) : fromZero ? 0 : least,
      high = of(known.length ? most : 1);
    const place = (value) => from + ((of(value) - low) / (high - low || 1)) * (to - from);
    return { place, logarithmic, low, high };
  };

  const round = (value) => {
    const step = 10 ** Math.floor(Math.log10(value));
    return Math.ceil(value / step) * step;
  };

  // Where a scale gets its lines: at each power of ten, or at four round numbers.
  const ticks = ({ logarithmic, low, high }) => {
    if (logarithmic) {
      const powers = [];
      for (let at = Math.ceil(low); at <= high; at += 1) powers.push(10 ** at);
      return powers.length ? powers : [10 ** high];
    }
    const step = round((high - low) / 4 || 1);
    const made = [];
    for (let at = Math.ceil(low / step) * step; at <= high; at += step) made.push(at);
    return made;
  };

  const MARKS = [
    (x, y) => svg("circle", { cx: x, cy: y, r: 4 }),
    (x, y) => svg("rect", { x: x - 3.5, y: y - 3.5, width: 7, height: 7 }),
    (x, y) => svg("path", { d: `M${x} ${y - 5}l5 9h-10z` }),
    (x, y) => svg("path", { d: `M${x} ${y - 5}l5 5l-5 5l-5 -5z` }),
    (x, y) => svg("path", { d: `M${x} ${y + 5}l5 -9h-10z` }),
  ];
  const DASHES = ["", "7 4", "2 3", "9 3 2 3"];

  /** A curve for each line; its name stands at its end, and its mark and dashes are its own. */
  board.curves = (label, axis, lines, unit) => {
    const WIDTH = 760,
      LEFT = 90,
      RIGHT = 190,
      TOP = 14,
      BOTTOM = 44,
      HEIGHT = Math.max(330, lines.length * 17 + TOP + BOTTOM);
    const xs = [...new Set(lines.flatMap(({ points }) => points.map(([one]) => one)))].sort(
      (one, other) => one - other,
    );
    const across = scale(xs, LEFT, WIDTH - RIGHT, false);
    const up = scale(
      lines.flatMap(({ points }) => points.map((one) => one[1])),
      HEIGHT - BOTTOM,
      TOP,
      true,
    );
    // Names that would stand on each other are moved apart, from the top down and back.
    const named = lines
      .map((line, at) => ({ line, at, y: up.place(line.points.at(-1)[1]) }))
      .sort((one, other) => one.y - other.y);
    named.forEach((one, at) => {
      if (at) one.y = Math.max(one.y, named[at - 1].y + 16);
    });
    let floor = HEIGHT - BOTTOM + 8;
    for (const one of [...named].reverse()) {
      one.y = Math.min(one.y, floor);
      floor = one.y - 16;
    }
    const beside = new Map(named.map(({ at, y }) => [at, y]));
    return framed(
      label,
      "curves",
      WIDTH,
      HEIGHT,
      ticks(up).map((value) => [
        svg("line", {
          class: "tick",
          x1: LEFT,
          x2: WIDTH - RIGHT,
          y1: up.place(value),
          y2: up.place(value),
        }),
        svg(
          "text",
          { class: "value", x: LEFT - 8, y: up.place(value) + 4, "text-anchor": "end" },
          value ? unit(value) : "0",
        ),
      ]),
      xs.map((value, at) =>
        // Of two that are too near to each other the first one is written.
        xs.slice(0, at).some((other) => across.place(value) - across.place(other) < 56)
          ? null
          : svg(
              "text",
              {
                class: "value",
                x: across.place(value),
                y: HEIGHT - BOTTOM + 18,
                "text-anchor": "middle",
              },
              value.toLocaleString("en"),
            ),
      ),
      svg(
        "text",
        { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 8, "text-anchor": "middle" },
        `${axis}${across.logarithmic ? " (logarithmic)" : ""}${up.logarithmic ? "; upwards logarithmic" : ""}`,
      ),
      lines.map(({ name, kind, points }, at) => {
        const [x, y] = points.at(-1);
        return svg(
          "g",
          { class: kind },
          svg("polyline", {
            points: points.map(([a, b]) => `${across.place(a)},${up.place(b)}`).join(" "),
            "stroke-dasharray": DASHES[at % DASHES.length],
          }),
          points.map(([a, b]) =>
            svg(
              "g",
              { class: "mark" },
              MARKS[at % MARKS.length](across.place(a), up.place(b)),
              svg("title", null, `${name}, ${axis} ${a.toLocaleString("en")}: ${unit(b)}`),
            ),
          ),
          svg("line", {
            class: "lead",
            x1: across.place(x) + 6,
            y1: up.place(y),
            x2: WIDTH - RIGHT + 18,
            y2: beside.get(at),
          }),
          svg(
            "g",
            { class: "mark" },
            MARKS[at % MARKS.length](WIDTH - RIGHT + 26, beside.get(at)),
          ),
          svg("text", { x: WIDTH - RIGHT + 36, y: beside.get(at) + 4 }, name),
        );
      }),
    );
  };
})();
