"""A catalog over HTTP that answers what a real OpenMetadata 1.12.6 was recorded to answer."""

import contextlib
import http.server
import json
import threading
import urllib.parse
from pathlib import Path

RECORDINGS = Path(__file__).parent.parent / "fixtures/openmetadata/1.12.6"
REFUSED = json.loads((RECORDINGS / "system/bad-token.json").read_text())["response"]


def recorded() -> dict:
    """Answers by path and query, where nothing but the way of asking decides."""
    answers = {}
    for file in sorted(RECORDINGS.glob("*/*.json")):
        exchange = json.loads(file.read_text())
        request = exchange.get("request", {})
        if request.get("method") == "GET" and exchange["response"]["status"] == 200:
            key = (request["path"], tuple(sorted(map(tuple, request["query"]))))
            answers.setdefault(key, (request["authorized"], exchange["response"]))
    return answers


@contextlib.contextmanager
def openmetadata(token: str, host: str = "127.0.0.1"):
    """Serves the recordings to who brings `token`; gives the address. What nobody recorded fails."""
    answers, unknown = recorded(), []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = urllib.parse.urlsplit(self.path)
            query = tuple(sorted(urllib.parse.parse_qsl(asked.query, keep_blank_values=True)))
            needs_token, answer = answers.get((asked.path, query), (False, None))
            if answer is None:
                unknown.append(self.path)
                self.send_error(500, "nobody recorded this")
                return
            if needs_token and self.headers.get("Authorization") != f"Bearer {token}":
                answer = REFUSED
            body = json.dumps(answer["body"]).encode()
            self.send_response(answer["status"])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((host, 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert not unknown, f"asked what nobody recorded: {unknown}"
