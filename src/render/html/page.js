"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const form = by("filter");
  const all = Array.from(document.querySelectorAll("article.finding"));
  const texts = all.map((one) => one.textContent.toLowerCase());
  const fields = ["search", "host", "component", "severity", "roots", "open"].map(by);
  const [search, host, component, severity, roots, open] = fields;
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    all.forEach((one, index) => {
      const hosts = Array.from(one.querySelectorAll(".on"), (name) => name.textContent);
      const fits = words.every((word) => texts[index].includes(word))
        && (!host.value || hosts.includes(host.value))
        && (!component.value || one.dataset.component === component.value)
        && (!severity.value || one.dataset.severity === severity.value)
        && !(roots.checked && one.classList.contains("consequence"))
        && !(open.checked && one.dataset.suppressed);
      one.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    by("shown").textContent = shown + " / " + all.length;
  };
  const clear = () => { form.reset(); apply(); };
  const go = (step) => {
    const shown = all.filter((one) => !one.hidden);
    if (!shown.length) return;
    const at = shown.indexOf(document.activeElement);
    const next = shown[at < 0 ? (step > 0 ? 0 : shown.length - 1) : Math.min(Math.max(at + step, 0), shown.length - 1)];
    next.focus();
    next.scrollIntoView({ block: "start" });
  };
  // A link leads to what the filter hides, too.
  const follow = () => {
    const target = all.find((one) => "#" + one.id === location.hash);
    if (target && target.hidden) clear();
    if (target) { target.focus(); target.scrollIntoView(); }
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", apply);
  window.addEventListener("hashchange", follow);
  // Paper has no filter.
  let kept = [];
  window.addEventListener("beforeprint", () => {
    kept = all.filter((one) => one.hidden);
    kept.forEach((one) => { one.hidden = false; });
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", () => kept.forEach((one) => { one.hidden = true; }));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") { clear(); search.blur(); return; }
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") return;
    if (event.key === "/") { event.preventDefault(); search.focus(); }
    else if (event.key === "j") go(1);
    else if (event.key === "k") go(-1);
  });
  apply();
  follow();
})();
