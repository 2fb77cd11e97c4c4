// What things cost: one thread for all connections. Argument: its port.
import { createServer } from "node:http";

/** Some work, so that there is something to see. */
function price(path) {
  let sum = 0;
  for (let i = 0; i < 200000; i++) sum = (sum * 31 + path.charCodeAt(i % path.length)) % 99991;
  return sum / 100;
}

createServer((request, response) => {
  // One of many takes long: that is what traces are for.
  const wait = request.url.endsWith("13") ? 300 : 0;
  setTimeout(() => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ price: price(request.url) }));
  }, wait);
}).listen(Number(process.argv[2]), "127.0.0.1");
