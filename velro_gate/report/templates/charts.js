// Draws the charts of the page by BokehJS from the data in #chart-data. Without it, or where it fails, the pictures stay.
(() => {
  "use strict";
  const Bokeh = window.Bokeh, page = document.documentElement, source = document.getElementById("chart-data");
  if (!Bokeh || !Bokeh.Models || !source) return;
  const data = JSON.parse(source.textContent);
  const {Plot, Toolbar, Grid, LinearAxis, LogAxis, TimedeltaAxis, LinearScale, LogScale, Span, BoxAnnotation, Range1d, ColumnDataSource,
    Line, Scatter, Segment, Quad, Text, HoverTool, BoxZoomTool, CrosshairTool, NumeralTickFormatter, TimedeltaTickFormatter, BasicTicker,
    FixedTicker} = Bokeh.Models;
  // Of a year of releases the box next to the pointer tells each.
  const MOST_MARKS = 4;
  const POINTS = ["x", "y"], ENDS = ["x0", "y0", "x1", "y1"], SIDES = ["left", "right", "top", "bottom"];
  const coarse = matchMedia("(pointer: coarse)").matches;
  let end = Math.max(1, ...data.phases.map(phase => phase.end));
  const begin = Math.min(0, ...data.phases.map(phase => phase.ramp));
  const time = new Range1d({start: begin, end, bounds: [begin, end], min_interval: 1000});
  const bokehDocument = new (Bokeh.require("document").Document)(), targets = [], built = new Map();
  const cross = new Span({dimension: "height", line_width: 1, line_alpha: 0.6});
  const painted = [];
  let colours = {};

  const number = value => value === null || value === undefined ? "not measured"
    : value.toLocaleString("en", {maximumSignificantDigits: Math.max(4, String(Math.trunc(Math.abs(value))).length)});
  const clock = ms => {
    const all = Math.round(ms / 1000), two = part => String(part).padStart(2, "0");
    return (end >= 3600e3 ? Math.trunc(all / 3600) + ":" + two(Math.trunc(all / 60) % 60) : Math.trunc(all / 60)) + ":" + two(all % 60);
  };
  const phaseAt = ms => data.phases.find(phase => ms >= phase.ramp && ms <= phase.end);

  // Colours are the page's own. They are set again when the reader changes between light and dark.
  function readColours() {
    const style = getComputedStyle(page);
    for (const name of ["ink", "soft", "paper", "panel", "rule", "fail", "warn", "c1", "c2", "c3", "c4", "c5", "c6"])
      colours[name] = style.getPropertyValue("--" + name).trim();
  }
  function paint(model, property, colour) {
    painted.push([model, property, colour]);
    model[property] = colours[colour];
  }
  function recolour(model, property, colour) {
    const known = painted.find(entry => entry[0] === model && entry[1] === property);
    known[2] = colour;
    model[property] = colours[colour];
  }
  function repaint() {
    readColours();
    for (const [model, property, colour] of painted) model[property] = colours[colour];
  }

  function union(view) {
    const found = new Set();
    for (const line of view.lines) for (const x of data.places[line.x]) found.add(x);
    return [...found].sort((a, b) => a - b);
  }
  function nearest(places, x) {
    let low = 0, high = places.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[middle] < x) low = middle + 1; else high = middle;
    }
    return low > 0 && x - places[low - 1] < places[low] - x ? low - 1 : low;
  }

  function extent(chart, view, shown, from, to) {
    let low = Infinity, high = -Infinity;
    view.lines.forEach((line, index) => {
      if (shown && !shown[index]) return;
      const places = data.places[line.x];
      for (let i = 0; i < places.length; i++) {
        const value = line.y[i];
        if (value === null || places[i] < from || places[i] > to) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    });
    for (const level of [...view.limits, ...view.bands]) {
      if (level.end < from || level.start > to) continue;
      low = Math.min(low, level.value);
      high = Math.max(high, level.value);
    }
    if (low > high) return [0, 1];
    return [low, high];
  }
  function vertical(chart, view, shown, from, to, whole) {
    let [low, high] = extent(chart, view, shown, from, to);
    if (chart.kind === "spread") return [0, 102];
    if (chart.kind === "curve") return [0, high * 1.08];
    // Shares that are all high would be one line at the top, and figures over runs one in the middle.
    const close = low > 0.5 * high && ((view.unit || chart.unit) === "%" || chart.kind !== "time");
    if (close && low === high) low -= high * 0.05;
    if (whole && chart.top) high = Math.min(high * 1.08, chart.top); else high += (close ? high - low : high) * 0.08 || high * 0.1 || 1;
    return [close ? low - (high - low) * 0.1 : 0, high];
  }

  // 1, 2 and 5 times the powers of ten; where there are many of them, the powers alone.
  function roundNumbers(low, high) {
    const powers = [], all = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const times of [1, 2, 5]) {
        const value = Number((times * 10 ** power).toPrecision(1));
        if (value < low / 1.15 || value > high * 1.15) continue;
        all.push(value);
        if (times === 1) powers.push(value);
      }
    return all.length > 8 && powers.length > 1 ? powers : all;
  }

  function tooltip(chart, state, at) {
    const box = document.createElement("div"), view = state.view, place = state.places[at];
    box.style.cssText = "font:12px/1.5 system-ui,sans-serif;padding:2px 4px;max-width:280px;color:" + colours.ink;
    const line = (text, colour, bold) => {
      const row = document.createElement("div");
      if (colour) {
        const dot = document.createElement("span");
        dot.style.cssText = "display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:6px;background:" + colours[colour];
        row.append(dot);
      }
      if (bold) row.style.fontWeight = "600";
      row.append(document.createTextNode(text));
      box.append(row);
    };
    if (chart.kind === "time") {
      const phase = phaseAt(place), now = one => place >= one.start && place <= one.end;
      // Sentences on a phase count its own seconds, the axis those of the run.
      const within = phase && (place < phase.start ? " (ramp)" : ", " + ((place - phase.start) / 1000).toFixed(1) + " s");
      line(clock(place) + (phase ? " · " + phase.name + within : ""), null, true);
      for (const one of data.broken.filter(now)) line("experiment " + one.name, "fail");
      for (const one of data.held.filter(now)) line(one.name, "warn");
    } else if (chart.kind === "spread") line(number(place) + " " + chart.unit, null, true);
    else if (chart.kind === "curve") line(number(place) + " " + view.across, null, true);
    else line(view.labels[Math.round(place) - (chart.kind === "pairs" ? 1 : 0)] || "", null, true);
    const unit = chart.kind === "spread" ? " % were at least as fast" : " " + (view.unit || chart.unit);
    view.lines.forEach((one, index) => {
      if (!state.shown[index]) return;
      const places = data.places[one.x], near = nearest(places, place);
      // A line that has no point near this place says nothing about it.
      if (chart.kind !== "spread" && Math.abs(places[near] - place) > state.reach) return;
      if (one.y[near] === null) return;
      line(one.name + ": " + number(one.y[near]) + unit + (chart.kind === "spread" && one.dots ? " (" + number(places[near]) + " ms)" : ""),
        "c" + one.colour);
    });
    for (const [at, text] of view.marks) if (Math.abs(at - place) <= state.reach) line(text, "c5");
    for (const level of chart.kind === "time" ? view.limits.concat(view.bands) : [])
      if (place >= level.start && place <= level.end) line(level.name + ": " + number(level.value) + unit);
    return box;
  }

  function makeFigure(chart, element) {
    const timed = chart.kind === "time", view = chart.views[0];
    const log = chart.kind === "spread", wide = new Range1d({start: 0, end: 1});
    const figure = new Plot({
      sizing_mode: "stretch_width", height: timed ? 190 : 240, toolbar_location: null, context_menu: null, min_border: 4,
      x_range: timed ? time : wide, y_range: new Range1d({start: 0, end: 1}), x_scale: log ? new LogScale() : new LinearScale(),
      y_scale: new LinearScale(), background_fill_alpha: 0, border_fill_alpha: 0, lod_threshold: null, min_border_left: 58,
      min_border_right: 26,
    });
    const across = timed ? new TimedeltaAxis() : log ? new LogAxis() : new LinearAxis();
    const upwards = new LinearAxis({ticker: new BasicTicker({desired_num_ticks: 5, num_minor_ticks: 0}),
      formatter: new NumeralTickFormatter({format: "0,0.[000]"})});
    if (timed) {
      const long = end >= 3600e3 ? "%h:%M:%S" : "%m:%S";
      across.formatter = new TimedeltaTickFormatter({seconds: long, minsec: long, minutes: long, hourmin: long, hours: long,
        days: long, milliseconds: long, hide_repeats: true});
    } else if (log) across.formatter = new NumeralTickFormatter({format: "0,0.[000]"});
    else if (chart.kind === "curve") across.formatter = new NumeralTickFormatter({format: "0,0.[0]"});
    else across.ticker = new BasicTicker({min_interval: 1, num_minor_ticks: 0});
    paint(figure, "outline_line_color", "rule");
    for (const axis of [across, upwards]) {
      for (const property of ["axis_line_color", "major_tick_line_color", "minor_tick_line_color"]) paint(axis, property, "rule");
      paint(axis, "major_label_text_color", "soft");
      axis.major_label_text_font_size = "12px";
    }
    const grids = [across, upwards].map((axis, dimension) => new Grid({dimension, ticker: axis.ticker, grid_line_alpha: 0.7}));
    for (const grid of grids) paint(grid, "grid_line_color", "rule");
    // The runs of main have names, which the box next to the pointer shows.
    if (chart.kind === "trend") across.major_label_text_alpha = 0;
    if (!timed) {
      paint(across, "axis_label_text_color", "soft");
      across.setv({axis_label_text_font_size: "12px", axis_label_text_font_style: "normal", axis_label_standoff: 2});
    }
    figure.setv({below: [across], left: [upwards], center: grids});

    const state = {figure, across, grids, view, chart, element, shown: [], renderers: [], phases: null, places: [], reach: 0, signature: ""};
    if (timed) drawPhases(state);
    // Only what the chart can ever show: each renderer takes time when the page opens.
    const any = property => chart.views.some(one => one[property].length);
    if (any("bands")) {
      state.band = layer(figure, Quad, SIDES, {line_alpha: 0, fill_alpha: 0.22}, {fill_color: "c2"});
      state.middle = layer(figure, Segment, ENDS, {line_dash: "dotted"}, {line_color: "c2"});
    }
    if (any("limits")) state.limit = layer(figure, Segment, ENDS, {line_width: 1.5, line_dash: "dashed"}, {line_color: "fail"});
    if (any("marks")) state.marks = layer(figure, Segment, ENDS, {line_dash: "dashed"}, {line_color: "c5"});
    if (chart.kind === "pairs") state.join = layer(figure, Segment, ENDS, {line_alpha: 0.6}, {line_color: "soft"});
    // What the pointer finds: one line over all places, so that one box shows the values of all lines.
    state.anchor = layer(figure, Line, POINTS, {line_alpha: 0}, {});
    const tools = [
      new HoverTool({renderers: [state.anchor.renderer], mode: "vline", line_policy: "nearest", point_policy: "follow_mouse",
        attachment: "horizontal", show_arrow: false, tooltips: (_, vars) => tooltip(chart, state, vars.index)}),
      new CrosshairTool({overlay: cross, dimensions: "height"})];
    const zoom = timed && !coarse ? new BoxZoomTool({dimensions: "width"}) : null;
    figure.toolbar = zoom ? new Toolbar({tools: [...tools, zoom], active_drag: zoom}) : new Toolbar({tools});
    if (timed) figure.on_event("doubletap", () => zoomTo(begin, end));
    show(state, 0);
    return state;
  }

  // One renderer with its data. Nothing is ever selected or muted, so the states of a glyph are one.
  function layer(figure, Glyph, fields, look, colour, rest) {
    const data = Object.fromEntries(fields.map(field => [field, []])), source = new ColumnDataSource({data});
    const glyph = new Glyph({...Object.fromEntries(fields.map(field => [field, {field}])), ...look});
    for (const [property, name] of Object.entries(colour)) paint(glyph, property, name);
    const renderer = figure.add_glyph(glyph, source, {selection_glyph: glyph, nonselection_glyph: glyph, muted_glyph: glyph, ...rest});
    return {renderer, glyph, source};
  }

  // Phases are data, since those of a run that is under way come one by one: a layout that grows after it was drawn has no view.
  function drawPhases(state) {
    const {figure} = state, below = {level: "underlay"};
    const ramps = layer(figure, Quad, SIDES, {line_alpha: 0, fill_alpha: 1}, {fill_color: "panel"}, below);
    const starts = layer(figure, Segment, ENDS, {line_dash: "dotted"}, {line_color: "soft"}, below);
    const names = layer(figure, Text, ["x", "y", "text"], {x_offset: {value: 3}, text_font_size: {value: "11px"},
      text_baseline: {value: "bottom"}, background_fill_alpha: {value: 0.75}}, {text_color: "soft", background_fill_color: "paper"},
    {level: "annotation"});
    state.phases = {ramps, starts, names};
    for (const [colour, stretches] of [["fail", data.broken], ["warn", data.held]])
      for (const one of stretches) {
        const box = new BoxAnnotation({left: one.start, right: one.end, line_alpha: 0, fill_alpha: 0.13, level: "underlay"});
        paint(box, "fill_color", colour);
        figure.add_layout(box);
      }
  }
  // low, high: the ends of the vertical axis, in its own unit.
  function placePhases({ramps, starts, names}, low, high, perMs) {
    const all = data.phases, lows = all.map(() => low), highs = all.map(() => high), at = all.map(phase => phase.start);
    ramps.source.data = {left: all.map(phase => phase.ramp), right: at, top: highs, bottom: lows};
    starts.source.data = {x0: at, x1: at, y0: lows, y1: highs};
    const shown = all.map(phase => ({name: phase.name, left: Math.max(phase.start, time.start), right: Math.min(phase.end, time.end)}))
      .filter(({name, left, right}) => (right - left) * perMs > name.length * 6.2 + 8);
    names.source.data = {x: shown.map(one => one.left), y: shown.map(() => low), text: shown.map(one => one.name)};
  }

  // What one more line is drawn by: a line, or dots.
  function drawnBy(state, place, dots) {
    const kind = dots ? "dots" : "line", known = state.renderers[place] ??= {};
    return known[kind] ??= dots ? layer(state.figure, Scatter, POINTS, {size: 7, line_alpha: 0}, {fill_color: "c1"})
      : layer(state.figure, Line, POINTS, {line_width: 1.8}, {line_color: "c1"});
  }

  function show(state, index) {
    const {chart} = state, view = chart.views[index];
    const before = new Map(state.view.lines.map((line, i) => [line.name, state.shown[i]]));
    state.view = view;
    state.shown = view.lines.map(line => before.get(line.name) !== false);
    state.places = union(view);
    const gaps = state.places.slice(1).map((x, i) => x - state.places[i]).sort((a, b) => a - b);
    state.reach = (gaps[Math.trunc(gaps.length * 0.9)] || 1) * 1.5;
    view.lines.forEach((one, i) => {
      const {glyph, source} = drawnBy(state, i, one.dots);
      source.data = {x: data.places[one.x], y: one.y.map(value => value === null ? NaN : value)};
      if (!one.dots) glyph.line_dash = one.dashed ? [5, 4] : [];
      recolour(glyph, one.dots ? "fill_color" : "line_color", "c" + one.colour);
    });
    appear(state);
    const bands = view.bands.filter(band => band.low !== null);
    const flat = levels => ({x0: levels.map(level => level.start), x1: levels.map(level => level.end),
      y0: levels.map(level => level.value), y1: levels.map(level => level.value)});
    if (state.band) {
      state.band.source.data = {left: bands.map(band => band.start), right: bands.map(band => band.end),
        top: bands.map(band => band.high), bottom: bands.map(band => band.low)};
      state.middle.source.data = flat(view.bands);
    }
    if (state.limit) state.limit.source.data = flat(view.limits);
    if (state.join) {
      const [base, head] = view.lines, both = data.places[base.x].map((x, i) => [x, base.y[i], head.y[i]])
        .filter(([, one, other]) => one !== null && other !== null);
      state.join.source.data = {x0: both.map(([x]) => x), x1: both.map(([x]) => x), y0: both.map(pair => pair[1]),
        y1: both.map(pair => pair[2])};
    }
    if (chart.kind === "curve") state.across.axis_label = view.across;
    const across = {spread: "response time, " + chart.unit, pairs: "pair", trend: "runs of main, oldest first"}[chart.kind];
    if (across) state.across.axis_label = across;
    state.anchor.source.data = {x: state.places, y: state.places.map(() => 0)};
    if (chart.kind === "time") fit(state);
    else {
      const first = state.places[0], last = state.places[state.places.length - 1], {x_range, y_range} = state.figure;
      const [low, high] = vertical(chart, view, state.shown, -Infinity, Infinity, true);
      if (chart.kind === "spread") {
        x_range.setv({start: first / 1.15, end: last * 1.15});
        state.across.ticker = state.grids[0].ticker = new FixedTicker({ticks: roundNumbers(first, last), minor_ticks: []});
      }
      else if (chart.kind === "curve") x_range.setv({start: 0, end: Math.max(last, ...view.marks.map(([at]) => at)) * 1.05});
      else x_range.setv({start: first - 0.5, end: last + 0.5});
      y_range.setv({start: low, end: high});
      const at = view.marks.map(([place]) => place);
      if (state.marks) state.marks.source.data = {x0: at, x1: at, y0: at.map(() => low), y1: at.map(() => high)};
    }
    const signature = JSON.stringify([view.lines.map(line => [line.name, line.colour]), view.limits[0]?.name, view.bands[0]?.name,
      view.marks]);
    if (signature !== state.signature) keys(state);
    state.signature = signature;
  }

  function appear({renderers, view, shown}) {
    renderers.forEach((drawn, i) => {
      for (const [kind, {renderer}] of Object.entries(drawn))
        renderer.visible = Boolean(view.lines[i]) && (kind === "dots") === Boolean(view.lines[i].dots) && shown[i];
    });
  }

  function fit(state) {
    const whole = time.start <= begin && time.end >= end;
    const [low, high] = vertical(state.chart, state.view, state.shown, time.start, time.end, whole);
    state.figure.y_range.setv({start: low, end: high});
    const width = Math.max(state.element.clientWidth - 60, 100), perMs = width / (time.end - time.start);
    state.across.ticker.desired_num_ticks = width < 460 ? 4 : 8;
    placePhases(state.phases, low, high, perMs);
  }

  // The names of the lines are buttons that show and hide them.
  function keys(state) {
    const box = state.element.parentElement.querySelector(".keys");
    box.replaceChildren(...state.view.lines.map((line, index) => {
      const key = document.createElement("button");
      key.type = "button";
      key.className = "line-key k" + line.colour + (line.dashed ? " dashed" : "") + (line.dots ? " dots" : "");
      key.textContent = line.name;
      key.setAttribute("aria-pressed", String(state.shown[index]));
      key.addEventListener("click", () => {
        state.shown[index] = !state.shown[index];
        key.setAttribute("aria-pressed", String(state.shown[index]));
        appear(state);
        if (state.chart.kind === "time") fit(state);
      });
      return key;
    }), ...[[state.view.limits, "limit"], [state.view.bands, "band"]].filter(([levels]) => levels.length).map(([levels, kind]) => {
      const key = document.createElement("span");
      key.className = "level-key of-" + kind;
      key.textContent = levels[0].name;
      return key;
    }), ...state.view.marks.slice(-MOST_MARKS).map(([at, text]) => {
      const key = document.createElement("span");
      key.className = "level-key of-mark";
      key.textContent = state.chart.kind === "curve" ? text + ", " + number(at) : text;
      return key;
    }));
  }

  function zoomTo(from, to) {
    const span = Math.max(Math.min(to - from, end - begin), 1000);
    const start = Math.min(Math.max(from, begin), end - span);
    time.setv({start, end: start + span});
  }
  const moves = {
    in: span => [time.start + span / 4, time.end - span / 4],
    out: span => [time.start - span / 2, time.end + span / 2],
    earlier: span => [time.start - span / 4, time.end - span / 4],
    later: span => [time.start + span / 4, time.end + span / 4],
    whole: () => [begin, end],
  };
  for (const button of document.querySelectorAll(".axis-tools button"))
    button.addEventListener("click", () => zoomTo(...moves[button.dataset.move](time.end - time.start)));
  const chosen = document.querySelector(".axis-tools select");
  chosen?.addEventListener("change", () => {
    const phase = data.phases[Number(chosen.value)];
    if (phase) zoomTo(phase.ramp, phase.end); else zoomTo(begin, end);
  });
  const said = document.querySelector(".axis-tools output");
  let waiting = false;
  time.on_change([time.properties.start, time.properties.end], () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const state of built.values()) if (state.chart.kind === "time") fit(state);
      if (said) said.textContent = clock(time.start) + " to " + clock(time.end);
    });
  });

  function build(figure) {
    const index = Number(figure.dataset.chart), element = figure.querySelector(".canvas");
    if (built.has(index)) return;
    const state = makeFigure(data.charts[index], element);
    built.set(index, state);
    targets.push(element);
    bokehDocument.add_root(state.figure);
    const choice = figure.querySelector("select");
    // It may have been changed before there was a chart to change.
    if (choice?.selectedIndex > 0) show(state, choice.selectedIndex);
    choice?.addEventListener("change", () => show(state, choice.selectedIndex));
    // The drawing itself holds nothing for the keyboard: the buttons and choices around it do.
    requestAnimationFrame(() => {
      const events = element.firstElementChild?.shadowRoot?.querySelectorAll("[tabindex]") ?? [];
      for (const each of events) each.removeAttribute("tabindex");
    });
  }

  // Until what was drawn is on the screen; a page in the background has no frames.
  const frame = () => new Promise(done => document.hidden ? setTimeout(done) : requestAnimationFrame(() => setTimeout(done)));

  // The other charts as they come near, a frame between two, so that what the reader does meanwhile is answered.
  function follow(figures) {
    const queue = [];
    async function work() {
      for (; queue.length; queue.shift()) {
        build(queue[0]);
        await frame();
      }
    }
    const wanted = figure => {
      watch.unobserve(figure);
      if (queue.push(figure) === 1) void work();
    };
    const watch = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(entry => wanted(entry.target)),
      {rootMargin: "400px"});
    for (const figure of figures) {
      watch.observe(figure);
      // Whoever goes through the page by the keyboard finds the buttons of each chart.
      figure.addEventListener("focusin", () => wanted(figure), {once: true});
    }
  }

  // Paper: the library draws between frames, of which there are none before a print. So a chart that has no picture gets one here.
  const PICTURED = document.querySelector(".pictures figure") ? ["rate", "latency", "errors", "users"] : [];
  function element(kind, properties, ...children) {
    const made = kind === "svg" || kind === "path" ? document.createElementNS("http://www.w3.org/2000/svg", kind)
      : document.createElement(kind);
    for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  const rounded = value => number(Number(value.toPrecision(3)));
  function acrossPaper(chart, view) {
    const places = union(view), first = places[0], last = places[places.length - 1], unit = " " + chart.unit;
    const names = [view.labels[0] || "", view.labels[view.labels.length - 1] || ""];
    const [from, to, words] = {
      time: [begin, end, [clock(begin), clock(end)]],
      spread: [Math.max(first, 1e-6), last, [rounded(first) + unit, rounded(last) + unit]],
      curve: [0, Math.max(last, ...view.marks.map(([at]) => at)) * 1.05, ["0", view.across]],
    }[chart.kind] || [first - 0.5, last + 0.5, names];
    const log = chart.kind === "spread" && to > from, share = log ? x => Math.log(x / from) / Math.log(to / from)
      : x => (x - from) / (to - from || 1);
    return {from, to, words, along: x => (1000 * Math.min(Math.max(share(x), 0), 1)).toFixed(1)};
  }
  function onPaper(chart, view, shown) {
    const {from, to, words, along} = acrossPaper(chart, view), [low, high] = vertical(chart, view, shown, from, to, true);
    const up = y => Math.min(Math.max(100 - 100 * (y - low) / (high - low || 1), 0), 100).toFixed(1), svg = [];
    const path = (kind, d, rest = {}) => { if (d) svg.push(element("path", {class: kind, d, ...rest})); };
    const ticks = (chart.kind === "spread" ? [0, 50, 100] : [low, (low + high) / 2, high]).map(value => element("span", {class: "tick", style: "top:" + up(value) + "%"},
      rounded(value)));
    path("grid", "M0 0H1000M0 50H1000M0 100H1000" + (chart.kind === "time"
      ? data.phases.map(phase => "M" + along(phase.start) + " 0V100").join("") : ""));
    for (const level of view.limits) path("limit", "M" + along(level.start) + " " + up(level.value) + "H" + along(level.end));
    for (const level of view.bands)
      path("k2", "M" + along(level.start) + " " + up(level.value) + "H" + along(level.end), {"stroke-dasharray": "2 3"});
    for (const [at] of view.marks) path("k5", "M" + along(at) + " 0V100", {"stroke-dasharray": "5 4"});
    view.lines.forEach((line, index) => {
      if (!shown[index]) return;
      const places = data.places[line.x];
      let d = "", joined = false;
      line.y.forEach((value, i) => {
        if (value !== null) d += (line.dots || !joined ? "M" : "L") + along(places[i]) + " " + up(value) + (line.dots ? "h0" : "");
        joined = value !== null;
      });
      path("k" + line.colour, d, line.dots ? {style: "stroke-width:6", "stroke-linecap": "round"} : line.dashed ? {"stroke-dasharray": "5 4"} : {});
    });
    const keys = view.lines.filter((_, index) => shown[index]).map(line => element("span", {class: "key k" + line.colour}, line.name));
    const note = [view.unit || chart.unit, ...view.marks.slice(-MOST_MARKS).map(mark => mark[1])]
      .filter(Boolean).join(" · ");
    return element("figure", {}, element("figcaption", {}, chart.title + " ", element("small", {}, note), ...keys),
      element("div", {class: "chart", style: "--panels:1"}, element("div", {class: "panel"},
        element("p", {class: "name"}, chart.views.length > 1 ? view.name : chart.kind === "time" ? "whole run" : "\u00a0"),
        element("div", {class: "plot"}, ...ticks, element("svg", {viewBox: "0 0 1000 100", preserveAspectRatio: "none"}, ...svg)),
        element("p", {class: "time"}, ...words.map(word => element("span", {}, word))))));
  }
  function toPaper() {
    const made = data.charts.map((chart, index) => {
      const choice = document.querySelector('figure[data-chart="' + index + '"] select');
      const view = chart.views[Math.max(choice?.selectedIndex ?? 0, 0)], shown = built.get(index)?.shown ?? view.lines.map(() => true);
      const known = view.lines.some(line => line.y.some(value => value !== null));
      return PICTURED.includes(chart.name) || !known ? null : onPaper(chart, view, shown);
    });
    document.querySelector(".paper")?.replaceChildren(...made.filter(Boolean));
  }

  async function start() {
    page.classList.add("drawn");
    readColours();
    paint(cross, "line_color", "soft");
    await Bokeh.embed.add_document_standalone(bokehDocument, document.body, targets);
    const drawn = new Promise(done => bokehDocument.idle.connect(done));
    const figures = [...document.querySelectorAll("figure[data-chart]")];
    if (figures.length) {
      build(figures[0]);
      await drawn;
      await frame();
    }
    if (said) said.textContent = clock(begin) + " to " + clock(end);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    addEventListener("resize", () => { for (const state of built.values()) if (state.chart.kind === "time") fit(state); });
    addEventListener("beforeprint", toPaper);
    // The first chart is there to be read and used.
    page.dataset.charts = "ready";
    follow(figures.slice(1));
  }
  const ready = start().catch(error => {
    // A picture is better than a chart that is not there.
    page.classList.remove("drawn");
    console.error(error);
  });

  // For a run that is under way: more of each line. A reader who looks at the whole run goes on doing so.
  function update(fresh) {
    const following = time.start <= begin && time.end >= end;
    data.places = fresh.places;
    for (const phase of fresh.phases.slice(data.phases.length)) data.phases.push({...phase});
    fresh.phases.forEach((phase, index) => Object.assign(data.phases[index], phase));
    end = Math.max(1000, ...data.phases.map(phase => phase.end));
    time.bounds = [begin, end];
    data.charts.forEach((chart, index) => {
      chart.views[0] = {...chart.views[0], lines: fresh.lines(chart)};
      const empty = !chart.views[0].lines.some(line => line.y.some(value => value !== null));
      document.querySelector('figure[data-chart="' + index + '"]').hidden = empty;
      const state = built.get(index);
      if (!state) return;
      show(state, 0);
    });
    if (following) time.setv({start: begin, end});
  }
  window.velroCharts = {ready, update};
})();
