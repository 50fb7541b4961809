"use strict";
// Moving about in the matrix without a mouse.
(() => {
  /** Arrows move between the cells of the table; only one of them is in the order of Tab. */
  board.navigate = (table) => {
    const links = (row) => [...row.querySelectorAll("th a, th button, td a")];
    const rows = () => [...table.querySelectorAll("tbody tr")].filter((row) => links(row).length);
    const focus = (link) => {
      table
        .querySelectorAll("tbody [tabindex='0']")
        .forEach((one) => one.setAttribute("tabindex", "-1"));
      link.setAttribute("tabindex", "0");
      link.focus();
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    };
    table.addEventListener("keydown", (event) => {
      const at = event.target.closest("tbody a, tbody button");
      if (!at || event.altKey || event.ctrlKey || event.metaKey) return;
      const row = at.closest("tr");
      const all = rows(),
        here = links(row),
        column = here.indexOf(at),
        line = all.indexOf(row);
      const down = (step) => {
        const next = all[line + step];
        return next && links(next)[Math.min(column, links(next).length - 1)];
      };
      const next = {
        ArrowRight: () => here[column + 1],
        ArrowLeft: () => here[column - 1],
        ArrowDown: () => down(1),
        ArrowUp: () => down(-1),
        Home: () => here[0],
        End: () => here.at(-1),
      }[event.key];
      if (!next) return;
      event.preventDefault();
      const found = next();
      if (found) focus(found);
    });
    const first = table.querySelector("tbody a, tbody button");
    if (first) first.setAttribute("tabindex", "0");
  };
})();
