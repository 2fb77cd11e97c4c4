"""A shop's front: a thread for each connection, which asks the services behind it and waits.

Arguments: its port, then the ports of stock, prices and orders.
"""

import http.server
import json
import sys
import urllib.request

PORT, STOCK, PRICES, ORDERS = (int(word) for word in sys.argv[1:5])


def ask(port, path, body=None):
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, data=body, timeout=10) as answer:
        return json.load(answer)


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            self.answer(200, self.page())
        except OSError as error:
            self.answer(502, {"error": str(error)})

    def page(self):
        kind, _, number = self.path.strip("/").partition("/")
        if kind == "products":
            stock = ask(STOCK, f"/stock/{number}")
            return {"stock": stock, "price": ask(PRICES, f"/prices/{number}")}
        if kind == "checkout":
            return ask(ORDERS, f"/orders/{number}", b"{}")
        return {"hello": "shop"}

    def answer(self, status, page):
        body = json.dumps(page).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Front).serve_forever()
