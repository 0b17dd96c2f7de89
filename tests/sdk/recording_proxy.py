"""Stands between an SDK and the server, passes everything on, and remembers what was said."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Of one connection only, not of what passes through.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}


class RecordingProxy:
    """Use it as a context manager; `exchanges` grows as requests are answered."""

    def __init__(self, url):
        self.target = urlsplit(url)
        self.exchanges = []
        self.changed = threading.Condition()

    def __enter__(self):
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_POST = do_HEAD = do_OPTIONS = lambda handler: proxy._pass_on(handler)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def _pass_on(self, handler):
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in HOP_BY_HOP}
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=30)
        try:
            connection.request(handler.command, handler.path, body=body or None, headers=headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        handler.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                handler.send_header(name, value)
        if response.status != 304:
            handler.send_header("content-length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)
        with self.changed:
            self.exchanges.append({
                "method": handler.command,
                "path": handler.path,
                "authorization": handler.headers.get("authorization"),
                "if_none_match": handler.headers.get("if-none-match"),
                "status": response.status,
                "etag": response.headers.get("etag"),
                "cache_control": response.headers.get("cache-control"),
                "content_type": response.headers.get("content-type"),
                "bytes": len(answer),
            })
            self.changed.notify_all()

    def definitions(self):
        """The exchanges about definitions so far."""
        with self.changed:
            return [exchange for exchange in self.exchanges if exchange["path"].startswith("/flags/definitions")]

    def await_exchange(self, wanted, seconds):
        """Waits until an exchange is as wanted; False when the time is over."""
        limit = time.monotonic() + seconds
        with self.changed:
            while not any(wanted(exchange) for exchange in self.exchanges):
                left = limit - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(left)
        return True
