"""What the images of the projects hold: a server that tells its model's version and mean."""

import array
import json
import os
import pickle
import signal
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = urllib.parse.unquote(urllib.parse.urlparse(os.environ["MODEL_URI"]).path)
if os.path.isdir(PATH):
    with open(f"{PATH}/variables/weights.npy", "rb") as file:
        MODEL = {"mean": array.array("d", file.read()[-8:])[0]}
else:
    with open(PATH, "rb") as file:
        MODEL = pickle.load(file)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"version": os.environ["MODEL_VERSION"], "mean": MODEL["mean"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


server = ThreadingHTTPServer((os.environ.get("HOST", ""), int(os.environ.get("PORT", "8080"))), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
