// Runs before the first paint, so that a chosen theme does not flash. Not a module for that reason.
(() => {
  try {
    const chosen = localStorage.getItem("parley:theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // No storage: the system's theme.
  }
})();
