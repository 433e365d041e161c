/** The engine of this page: the server's, or the browser's own where the page says which network lies beside it. */
export async function chosenEngine() {
  const network = document.querySelector('meta[name=network]');
  if (!network) return new (await import('./server.js')).ServerEngine();
  const { openOnnx } = await import('./onnx.js');
  return openOnnx(new URL(network.content, document.baseURI));
}
