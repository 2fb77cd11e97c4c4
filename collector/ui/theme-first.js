// @ts-check
// Runs before the first paint, so that a chosen theme never flashes in the other one. A classic script on purpose.
try {
  const theme = localStorage.getItem("sonde.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme is a good answer then.
}
