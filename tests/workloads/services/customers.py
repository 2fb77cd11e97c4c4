"""The shop's customers: a few at a time, each with a connection. Arguments: the front's port, requests a second."""

import http.client
import itertools
import random
import sys
import threading
import time

PORT, RATE, CUSTOMERS = int(sys.argv[1]), float(sys.argv[2]), 4


def shop():
    connection = None
    for number in itertools.count(random.randrange(1000)):
        time.sleep(random.expovariate(RATE / CUSTOMERS))
        kind = "checkout" if number % 5 == 0 else "products"
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
            connection.request("GET", f"/{kind}/{random.randrange(1, 1000)}")
            connection.getresponse().read()
        except OSError:
            connection = None
        except http.client.HTTPException:
            connection = None


for _ in range(CUSTOMERS):
    threading.Thread(target=shop).start()
