"""An HTTP server on loopback that answers commands, for the command lines that post them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import MappingProxyType
from typing import Any

TAKEN = "Device already linked to another customer"


class Posted(list[tuple[str, str, dict[str, Any]]]):
    """What was posted: path, Idempotency-Key and body, in the order that it came in."""


@contextmanager
def serving(statuses: Mapping[str, int] = MappingProxyType({})) -> Iterator[tuple[str, Posted]]:
    """A server that answers 200, or for some customers another status."""
    posted = Posted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posted.append((self.path, self.headers["Idempotency-Key"], body))
            status = statuses.get(body.get("customerId"), 200)
            content = json.dumps({"message": TAKEN if status != 200 else "done"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", posted
        finally:
            server.shutdown()
            thread.join()
