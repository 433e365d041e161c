// Browsers load no modules from a folder that was opened as files: say what to do.
if (location.protocol === 'file:') {
  addEventListener('DOMContentLoaded', () => {
    document.getElementById('status').textContent = 'A browser takes this page from a web server only: python -m http.server --directory FOLDER';
  });
}
