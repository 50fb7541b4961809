"use strict";
// The query language of the filter box. Terms are separated by spaces and must all hold:
//   word  "two words"       in the id, the law or the family
//   family:cancel  law:4  id:accept  strict:must  cap:ipv6
//   is:unexpected  is:different  is:flaky  is:expected  is:permit  is:regressed  is:fixed  is:new  is:slower
//   kqueue:fail  linux:timeout,crash   some column of that name ended so;  any:fail  some column
//   col:freebsd             only these columns are shown
//   -term                   does not hold
(() => {
  const tokens = (text) => {
    const found = [];
    for (const match of text.matchAll(/(-?)(?:([^\s":]+):)?(?:"([^"]*)"|(\S+))/g))
      found.push({
        not: match[1] === "-",
        key: (match[2] || "").toLowerCase(),
        value: (match[3] ?? match[4]).toLowerCase(),
      });
    return found.filter((one) => one.value !== "");
  };

  const columnsOf = (word) =>
    board.index.columns.flatMap((column, number) =>
      word === "any" ||
      column.words.some((one) => one === word || one.split("_")[0] === word) ||
      (column.name.toLowerCase().includes(word) && word.length > 2)
        ? [number]
        : [],
    );

  const wordOf = (status) => board.index.statuses[status][0].toLowerCase();

  const is = {
    unexpected: (row, cells) => cells.some((cell) => cell && cell[1] === 1),
    expected: (row, cells) => cells.some((cell) => cell && cell[1] === 3),
    flaky: (row, cells) => cells.some((cell) => cell && wordOf(cell[0]) === "flaky"),
    permit: (row, cells) => cells.some((cell) => cell && cell.length > 3),
    different: (row, cells) =>
      row.parted ||
      new Set(cells.filter((cell) => cell && !board.apart(cell[0])).map((cell) => cell[0])).size >
        1,
  };

  // What became of a scenario since the earlier runs, in one of the columns that are shown.
  const became = (kind) => (row, cells, all, shown) =>
    (board.index.changes ? board.index.changes.groups : []).some(
      ([name, rows]) =>
        name === kind && rows.some(([id, column]) => id === row.id && shown.includes(column)),
    );
  for (const kind of ["regressed", "fixed", "new", "slower"]) is[kind] = became(kind);

  const own = {
    family: (row, value) => row.family.toLowerCase() === value,
    law: (row, value) => String(row.law) === value,
    id: (row, value) => row.id.toLowerCase().includes(value),
    strict: (row, value) => row.strict.toLowerCase() === value,
    cap: (row, value) => row.caps.some((one) => one.toLowerCase() === value),
  };

  /** Read a query: `matches(row, cells)`, the columns to show, and what could not be understood. */
  board.query = (text) => {
    const tests = [];
    const problems = [];
    let columns = null;
    const statuses = board.index.statuses.map(([word]) => word.toLowerCase());
    for (const { not, key, value } of tokens(text)) {
      const values = value.split(",").filter(Boolean);
      let test = null;
      if (!key) test = (row) => `${row.id} ${row.family} ${row.text}`.toLowerCase().includes(value);
      else if (key === "is") {
        const unknown = values.find((one) => !Object.hasOwn(is, one));
        if (unknown !== undefined)
          problems.push(`is:${unknown} is unknown; there are ${Object.keys(is).join(", ")}`);
        else
          test = (row, cells, all, columns) =>
            values.some((one) => is[one](row, cells, all, columns));
      } else if (Object.hasOwn(own, key)) test = (row) => values.some((one) => own[key](row, one));
      else if (key === "col") {
        const found = new Set(values.flatMap(columnsOf));
        if (!found.size) problems.push(`no column is called ${value}`);
        else {
          const keep = (number) => found.has(number) !== not;
          const before = columns;
          columns = board.index.columns
            .map((_, number) => number)
            .filter((number) => keep(number) && (!before || before.includes(number)));
        }
      } else {
        const found = columnsOf(key);
        const unknown = values.find((one) => !statuses.includes(one) && one !== "unexpected");
        if (!found.length) problems.push(`nothing is called ${key}`);
        else if (unknown !== undefined)
          problems.push(`${unknown} is no status; there are ${statuses.join(", ")}`);
        else
          test = (row, cells, all) =>
            found.some(
              (number) =>
                all[number] &&
                values.some(
                  (one) =>
                    one === wordOf(all[number][0]) ||
                    (one === "unexpected" && all[number][1] === 1),
                ),
            );
      }
      if (test) tests.push(not ? (...args) => !test(...args) : test);
    }
    const shown = columns || board.index.columns.map((_, number) => number);
    return {
      columns: shown,
      problems,
      narrow: tests.length > 0,
      matches: (number) => {
        const all = board.index.cells[number];
        const cells = shown.map((one) => all[one]);
        return tests.every((test) => test(board.index.scenarios[number], cells, all, shown));
      },
    };
  };
})();
