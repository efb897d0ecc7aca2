"""Stand-ins for the hubs: servers on this machine that answer as they do, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from patience import HANG

CHUNK = 4096


class HubServer:
    """Serves files by name. Subclasses speak a hub's protocol.

    Attributes:
        files: name in the repository to content.
        log: `(method, path, Range, Authorization)` of each request.
        sent: bytes of file content sent, by name.
        cut: name to bytes after which the connection breaks, once.
        stalled: name to bytes after which nothing more comes until `release` is set.
        listed: further `(name, size)` that the listing claims.
        lie: name to the size the listing and the headers claim.
        status: what to answer instead of 200 to every question about the repository.
        ranges: whether a download can be continued.
    """

    def __init__(self, files=None):
        self.files = dict(files or {})
        self.log, self.sent, self.listed = [], {}, []
        self.connections = []
        self.cut, self.stalled, self.lie = {}, {}, {}
        self.release = threading.Event()
        self.status, self.ranges = None, True
        self.revision = "a" * 40

    @contextmanager
    def running(self):
        hub = self

        class Handler(_Handler):
            server_hub = hub

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda request, address: None  # who hangs up is expected to
        self.port = server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.files_url = f"http://localhost:{self.port}"  # another host, as a hub's storage is
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self._server, self._thread = server, thread
        try:
            yield self
        finally:
            self.release.set()
            self.stop()

    def stop(self):
        """Be gone: nothing listens any more, and connections kept open are closed."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def requests(self, word):
        """The logged requests whose path holds `word`."""
        return [entry for entry in self.log if word in entry[1]]

    def is_lookup(self, headers):
        """Whether a file is asked for only to learn where it lies."""
        return False

    def names(self):
        """What the listing says: name to size."""
        sizes = {name: self.lie.get(name, len(data)) for name, data in self.files.items()}
        return sizes | dict(self.listed)


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server_hub.connections.append(self.connection)

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.handle_request()

    def do_HEAD(self):
        self.handle_request()

    def do_POST(self):
        self.handle_request()

    def handle_request(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        hub, parts = self.server_hub, urlsplit(self.path)
        hub.log.append(
            (self.command, self.path, self.headers["Range"], self.headers["Authorization"])
        )
        path = unquote(parts.path)
        if path.startswith("/storage/"):
            name = path.removeprefix("/storage/")
            self.send_file(name, parse_qs(parts.query), hub.storage_headers(name))
        else:
            hub.answer(self, path, body)

    def reply(self, status, headers=(), body=b""):
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_json(self, value, status=200, headers=()):
        body = json.dumps(value).encode()
        self.reply(status, {"Content-Type": "application/json", **dict(headers)}, body)

    def send_file(self, name, query, headers):
        hub = self.server_hub
        data = hub.files[name]
        start = 0
        if self.headers["Range"] and hub.ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return self.reply(416, {"Content-Range": f"bytes */{len(data)}"})
        size = hub.lie.get(name, len(data))
        self.send_response(206 if start else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        if hub.is_lookup(self.headers):
            self.close_connection = True
        elif self.command != "HEAD":
            self.send_body(name, data, start)

    def send_body(self, name, data, start):
        hub = self.server_hub
        cut = hub.cut.pop(name, None)
        stall = hub.stalled.get(name)
        while start < len(data):
            if cut is not None and start >= cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if stall is not None and start >= stall:
                self.wfile.flush()
                hub.release.wait(HANG)
                stall = None
            end = min(start + CHUNK, len(data))
            try:
                self.wfile.write(data[start:end])
            except OSError:
                return
            hub.sent[name] = hub.sent.get(name, 0) + end - start
            start = end
        if len(data) < hub.lie.get(name, 0):
            self.close_connection = True


class HuggingFaceServer(HubServer):
    """One repository, `tiny/model`. Weights and vocabularies lie in another host's storage."""

    repository = "tiny/model"
    error_code = None
    open_listing = False  # whether everybody may see the listing, whatever `status` says

    def __init__(self, files=None):
        super().__init__(files)
        self.branches = {"main": self.revision}
        self.commits = None

    def is_large(self, name):
        return name.endswith((".safetensors", ".h5", ".spm", ".gguf"))

    def sha(self, name):
        return hashlib.sha256(self.files.get(name, b"")).hexdigest()

    def storage_headers(self, name):
        return {"Accept-Ranges": "bytes", "ETag": f'"{self.sha(name)}"'}

    def answer(self, handler, path, body):
        start, api = f"/{self.repository}/resolve/", f"/api/models/{self.repository}/"
        if self.status is not None and not (self.open_listing and path.startswith(api)):
            codes = {"X-Error-Code": self.error_code} if self.error_code else {}
            return handler.reply(self.status, codes)
        if path.startswith(api + "revision/"):
            revision = path.removeprefix(api + "revision/")
            return self.describe(handler, self.branches.get(revision, revision))
        if path.startswith(api + "tree/"):
            return handler.reply_json([self.tree_entry(*item) for item in self.names().items()])
        if path.startswith(start):
            return self.resolve(handler, path.removeprefix(start).partition("/")[2])
        handler.reply(404, {"X-Error-Code": "RepoNotFound"})

    def describe(self, handler, commit):
        if commit != self.revision:
            return handler.reply(404, {"X-Error-Code": "RevisionNotFound"})
        siblings = [self.sibling(*item) for item in self.names().items()]
        handler.reply_json({"id": self.repository, "sha": commit, "siblings": siblings})

    def sibling(self, name, size):
        large = {"sha256": self.sha(name), "size": size, "pointerSize": 134}
        entry = {"rfilename": name, "size": size, "blobId": "b" * 40}
        return entry | ({"lfs": large} if self.is_large(name) else {})

    def tree_entry(self, name, size):
        large = {"oid": self.sha(name), "size": size, "pointerSize": 134}
        entry = {"type": "file", "path": name, "size": size, "oid": "b" * 40}
        return entry | ({"lfs": large} if self.is_large(name) else {})

    def resolve(self, handler, name):
        if name not in self.files:
            return handler.reply(404, {"X-Error-Code": "EntryNotFound"})
        size = str(self.lie.get(name, len(self.files[name])))
        headers = {"X-Repo-Commit": self.revision, "ETag": f'"{self.sha(name)[:40]}"'}
        if not self.is_large(name):
            return handler.send_file(name, {}, headers)
        linked = {"X-Linked-Etag": f'"{self.sha(name)}"', "X-Linked-Size": size}
        location = {"Location": f"{self.files_url}/storage/{name}?signature=SIGNED"}
        handler.reply(302, headers | linked | location)


class KaggleServer(HubServer):
    """One model, `tiny/model/keras/small`, version 3."""

    version = 3
    page_size = 25
    library_downloads = False

    def is_lookup(self, headers):
        """The library follows the redirect to the storage; what downloads has its own agent."""
        return headers["User-Agent"].startswith("kagglehub") and not self.library_downloads

    def storage_headers(self, name):
        digest = base64.b64encode(hashlib.md5(self.files[name]).digest()).decode()
        return {"Accept-Ranges": "bytes", "x-goog-hash": f"crc32c=AAAAAA==,md5={digest}"}

    def answer(self, handler, path, body):
        if self.status is not None:
            message = {"code": self.status, "message": "User is not allowed; see SECRET"}
            return handler.reply_json(message, self.status)
        asked = [body.get(k) for k in ("ownerSlug", "modelSlug", "instanceSlug")]
        version = body.get("versionNumber", self.version)
        if asked != ["tiny", "model", "small"] or version != self.version:
            return handler.reply_json({"code": 404, "message": "Not found"}, 404)
        call = path.rpartition("/")[2]
        if call == "GetModelInstance":
            return handler.reply_json({"versionNumber": self.version})
        if call == "ListModelInstanceVersionFiles":
            return self.page(handler, int(body.get("pageToken") or 0))
        location = f"{self.files_url}/storage/{body['path']}?signature=SIGNED"
        handler.reply(302, {"Location": location})

    def page(self, handler, start):
        names = list(self.names().items())
        end = start + self.page_size
        files = [{"name": n, "size": s} for n, s in names[start:end]]
        more = str(end) if end < len(names) else ""
        handler.reply_json({"files": files, "nextPageToken": more})
