// Runs before the first paint, so that a chosen theme does not flash in the other one's colours.
// A file of its own, for the content security policy allows no inline scripts; rename it when it changes,
// for /assets is cached for ever.
(function () {
  var chosen = 'auto';
  try {
    chosen = localStorage.getItem('kymo-theme') || 'auto';
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
  var dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
  document.documentElement.style.backgroundColor = dark ? '#14171c' : '#f6f7f9';
  document.documentElement.style.colorScheme = dark ? 'dark' : 'light';
})();
