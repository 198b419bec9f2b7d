// Asks the run once a second for what is new, and hands it to the charts.
(() => {
  "use strict";
  const sources = JSON.parse(document.getElementById("sources").textContent);
  const state = document.getElementById("state");
  const at = [], columns = new Map(), phases = [];
  let next = 0, failed = 0, waiting = false;

  function column(key) {
    if (!columns.has(key)) columns.set(key, at.slice(0, -1).map(() => null));
    return columns.get(key);
  }
  function take(row) {
    // No line joins the last second of a phase with the first of the next.
    if (phases.length && phases[phases.length - 1].name !== row.phase) {
      at.push((at[at.length - 1] + row.at) / 2);
      for (const values of columns.values()) values.push(null);
    }
    at.push(row.at);
    const given = new Map(Object.entries(row.figures).map(([name, value]) => ["figure " + name, value]));
    for (const [kind, values] of [["step", row.steps], ["layer", row.layers]])
      for (const [name, value] of Object.entries(values)) given.set(kind + " " + name, value);
    for (const key of given.keys()) column(key);
    for (const [key, values] of columns) values.push(given.has(key) ? given.get(key) : null);
    const last = phases[phases.length - 1];
    if (!last || last.name !== row.phase) phases.push({name: row.phase, ramp: row.at, start: row.at, end: row.at});
    const phase = phases[phases.length - 1];
    if (!row.measured) phase.start = row.at;
    phase.end = row.at;
    state.textContent = row.state;
  }
  function lines(chart) {
    const kind = {steps: "step ", layers: "layer "}[chart.name];
    if (!kind) return chart.views[0].lines.map((line, index) => ({...line, x: 0, y: columns.get("figure " + sources[chart.name][index]) ?? []}));
    return [...columns.keys()].filter(key => key.startsWith(kind)).map((key, index) => ({name: key.slice(kind.length),
      colour: index % 6 + 1, x: 0, y: columns.get(key), dashed: index > 5, dots: false}));
  }

  // A tab that nobody sees draws nothing until it is looked at.
  function draw() {
    waiting = document.hidden;
    if (!waiting && at.length) window.velroCharts?.update({places: [at], phases, lines});
  }
  document.addEventListener("visibilitychange", () => { if (waiting) draw(); });

  async function ask() {
    let more = false;
    try {
      const answer = await fetch("data?from=" + next, {cache: "no-store"});
      if (!answer.ok) throw new Error(String(answer.status));
      const found = await answer.json();
      ({next, more} = found);
      found.rows.forEach(take);
      if (found.rows.length && !more) draw();
      failed = 0;
    } catch {
      // The page is gone with the run: its charts stay until the tab is closed.
      if (++failed > 2) {
        state.textContent = "The run is over. Its report lies in the folder of the run.";
        return;
      }
    }
    setTimeout(ask, more ? 0 : 1000);
  }
  window.velroCharts?.ready.then(ask);
})();
