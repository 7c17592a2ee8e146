"use strict";
// Draws the charts of the page, and redraws one when its controls change.
(() => {
  const options = {
    displaylogo: false,
    responsive: true,
    modeBarButtonsToRemove: ["select2d", "lasso2d"],
  };
  const isNarrow = () => window.matchMedia("(max-width: 40rem)").matches;

  function start(root) {
    const data = document.getElementById(root.dataset.chart).textContent;
    const figures = JSON.parse(data);
    const plot = root.querySelector(".plot");
    const select = root.querySelector("select");
    const boxes = [...root.querySelectorAll("input[type=checkbox]")];

    function draw() {
      const isHidden = (group, value) => boxes.some(
        (box) => box.dataset.group === group && box.value === value
          && !box.checked);
      const figure = figures[select.value];
      const isSeen = (trace) => !Object.entries(trace.meta || {}).some(
        ([group, value]) => isHidden(group, value));
      const seen = figure.data.filter(isSeen);
      const shift = (trace) =>
        (figure.step || 0) * (seen.indexOf(trace) - (seen.length - 1) / 2);
      const traces = figure.data.map((trace) => ({
        ...trace,
        visible: isSeen(trace),
        x: trace.x.map((x) => x + (isSeen(trace) ? shift(trace) : 0)),
      }));
      const layout = structuredClone(figure.layout);
      if (isNarrow() && layout.coloraxis) {
        layout.height = 520;
        // Below the chart, where there is room for it.
        const { colorbar } = layout.coloraxis;
        const text = colorbar.title.text.replace(", ", ",<br>");
        Object.assign(colorbar, {
          orientation: "h", y: -0.25, yanchor: "top",
          title: { text, side: "bottom", font: { size: 13 } },
        });
      }
      Plotly.react(plot, traces, layout, options);
    }

    root.hidden = false;
    draw();
    select.addEventListener("change", draw);
    boxes.forEach((box) => box.addEventListener("change", draw));
  }

  document.querySelectorAll("[data-chart]").forEach(start);
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
  });
})();
