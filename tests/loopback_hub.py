"""A Hub on this machine, for the tests: it speaks to the unmodified `huggingface_hub` client.

Models, datasets, private repositories, LFS, commits, branches and tags, all in memory. It knows one
token, keeps a log of the requests, and makes the faults that a test asks for. Files that are
stored by LFS come from another host name (localhost), as the real Hub's come from its CDN.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_a_token_of_the_loopback_hub"
USER = "tester"
WHEN = "2026-01-01T00:00:00.000Z"
LFS_SUFFIXES = (".safetensors", ".parquet", ".png", ".bin", ".onnx")


@dataclass(frozen=True)
class StoredFile:
    content: bytes
    lfs: bool

    @property
    def oid(self) -> str:
        """SHA-256 of an LFS file, git's blob SHA-1 of any other."""
        if self.lfs:
            return hashlib.sha256(self.content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        entry = {"type": "file", "path": path, "oid": self.oid, "size": len(self.content)}
        if self.lfs:
            entry["lfs"] = {"oid": self.oid, "size": len(self.content), "pointerSize": 130}
        return entry


Commit = tuple[str, str, dict[str, StoredFile]]
"""Its hash, its title, and all files as it leaves them."""


@dataclass
class Repo:
    """A repository; its first commit is empty."""

    private: bool
    branches: dict[str, list[Commit]] = field(default_factory=lambda: {"main": []})
    tags: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def commit(self, title: str, files: dict[str, StoredFile], branch: str = "main") -> str:
        commits = self.branches[branch]
        salt = f"{title} {branch} {len(commits)} {sorted(files)}"
        commits.append((hashlib.sha1(salt.encode()).hexdigest(), title, files))
        return commits[-1][0]

    @property
    def commits(self) -> list[Commit]:
        """Of main."""
        return self.branches["main"]

    @property
    def head(self) -> str:
        return self.commits[-1][0]

    @property
    def files(self) -> dict[str, StoredFile]:
        return self.commits[-1][2]

    def find(self, revision: str) -> tuple[str, dict[str, StoredFile]]:
        if revision in self.branches:
            revision = self.branches[revision][-1][0]
        wanted = self.tags.get(revision, revision)
        for oid, _, files in itertools.chain(*self.branches.values()):
            if oid == wanted:
                return oid, files
        raise RefusedError(404, "RevisionNotFound", f"no revision {revision}")


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose `METHOD /path` matches."""

    pattern: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    drop_after: int | None = None
    """Close the connection after so many bytes of the body; only requests with more are meant."""
    lose_answer: bool = False
    """Do what was asked and close the connection without an answer."""
    corrupt: bool = False
    """Give other bytes than were stored, of the same number."""
    truncate: bool = False
    """Close the connection in the middle of the answer."""
    hang: bool = False
    """Do nothing, and keep the connection open until the client closes it."""
    times: int = 1


class RefusedError(Exception):
    def __init__(self, status: int, code: str = "", message: str = "", body: Any = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.body = {"error": message} if body is None else body


class LoopbackHub:
    """The server; use it as a context manager."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.log: list[str] = []
        self.gone = False
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.cdn = f"http://localhost:{self.port}"

    def __enter__(self) -> LoopbackHub:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.gone = True
        self.server.shutdown()
        self.server.server_close()

    def model(self, name: str) -> Repo:
        return self.repos["models", name]

    def requests(self, pattern: str) -> int:
        """How many requests, as `METHOD /path`, matched."""
        return sum(bool(re.search(pattern, line)) for line in self.log)

    def fault(self, line: str, size: int) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if (
                    fault.times
                    and size > (fault.drop_after or -1)
                    and re.search(fault.pattern, line)
                ):
                    fault.times -= 1
                    return fault
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(HubHandler):
            pass

        Handler.hub = hub
        return Handler


class HubHandler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def serve(self) -> None:
        if self.hub.gone:  # connections that were kept open
            self.close_connection = True
            return
        self.path = unquote(urlsplit(self.path).path)
        line = f"{self.command} {self.path}"
        self.hub.log.append(line)
        size = int(self.headers.get("Content-Length") or 0)
        fault = self.hub.fault(line, size)
        if fault is not None and fault.drop_after is not None:
            self.rfile.read(fault.drop_after)
            self.close_connection = True
            return
        self.body = self.rfile.read(size)
        if fault is not None and fault.hang:
            self.rfile.read(1)
            self.close_connection = True
            return
        if fault is not None and fault.status:
            self.answer(fault.status, fault.body or {"error": "a fault"}, fault.headers)
            return
        self.corrupt = fault is not None and fault.corrupt
        self.lost = fault is not None and fault.lose_answer
        self.truncated = fault is not None and fault.truncate
        try:
            self.dispatch()
        except RefusedError as refused:
            headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
            self.answer(refused.status, refused.body, {k: v for k, v in headers.items() if v})

    def dispatch(self) -> None:
        for method, pattern, action in ROUTES:
            match = re.fullmatch(pattern, self.path)
            if match and method in (self.command, "ANY"):
                action(self, **match.groupdict())
                return
        raise RefusedError(404, "EntryNotFound", f"no such page: {self.path}")

    def answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        if getattr(self, "lost", False):
            self.close_connection = True
            return
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            broken = getattr(self, "truncated", False)
            self.wfile.write(content[: len(content) // 2] if broken else content)
            self.close_connection |= broken

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def authorised(self) -> bool:
        header = self.headers.get("Authorization", "")
        if header and header != f"Bearer {TOKEN}":
            # A server that gives the token away in its message.
            raise RefusedError(401, "", "Invalid credentials in Authorization header",
                          {"error": f"Invalid credentials: {header}"})  # fmt: skip
        return bool(header)

    def need_token(self) -> None:
        if not self.authorised():
            raise RefusedError(401, "", "Invalid username or password.")

    def repo(self, kind: str, name: str) -> Repo:
        repo = self.hub.repos.get((kind, name))
        authorised = self.authorised()
        if repo is None or (repo.private and not authorised):
            raise RefusedError(404 if authorised else 401, "RepoNotFound", "Repository not found")
        return repo

    # What the client asks for, in the order of docs: accounts, repositories, reading, writing.

    def whoami(self) -> None:
        self.need_token()
        access = {"displayName": "test", "role": "write", "createdAt": WHEN}
        user = {"type": "user", "name": USER, "fullname": USER, "email": "t@example.org"}
        auth = {"type": "access_token", "accessToken": access}
        self.answer(200, user | {"orgs": [], "auth": auth})

    def create(self) -> None:
        self.need_token()
        asked = self.json
        owner = asked.get("organization") or USER
        if owner != USER:
            raise RefusedError(403, "", f"You don't have the rights to create in {owner}")
        kind = asked.get("type", "model") + "s"
        name = f"{owner}/{asked['name']}"
        prefix = "" if kind == "models" else f"{kind}/"
        body = {"url": f"{self.hub.endpoint}/{prefix}{name}", "name": name, "id": name}
        if (kind, name) in self.hub.repos:
            raise RefusedError(409, "", "You already created this repo", body)
        repo = Repo(private=asked.get("visibility", "public") == "private")
        repo.commit("initial commit", {".gitattributes": StoredFile(b"*.bin filter=lfs\n", False)})
        self.hub.repos[kind, name] = repo
        self.answer(200, body)

    def settings(self, kind: str, name: str) -> None:
        self.need_token()
        self.repo(kind, name).private = self.json["visibility"] == "private"
        self.answer(200, {})

    def info(self, kind: str, name: str, revision: str = "main") -> None:
        repo = self.repo(kind, name)
        oid, files = repo.find(revision)
        card = files.get("README.md")
        data = yaml.safe_load(card.content.decode().split("---")[1]) if card else {}
        tags = {key: data[key] for key in ("pipeline_tag", "library_name") if key in data}
        self.answer(200, tags | {
            "id": name, "modelId": name, "author": USER, "sha": oid, "lastModified": WHEN,
            "createdAt": WHEN, "private": repo.private, "gated": False, "disabled": False,
            "downloads": 0, "likes": 0, "tags": [], "siblings": [{"rfilename": f} for f in files],
            "cardData": data,
        })  # fmt: skip

    def tree(self, kind: str, name: str, revision: str, folder: str | None = None) -> None:
        _, files = self.repo(kind, name).find(revision)
        prefix = f"{folder}/" if folder else ""
        entries: list[dict[str, Any]] = []
        folders: set[str] = set()
        for path, file in files.items():
            if path.startswith(prefix):
                entries.append(file.entry(path))
                parts = path.split("/")[:-1]
                folders |= {"/".join(parts[: i + 1]) for i in range(len(parts))}
        if folder and not entries:
            raise RefusedError(404, "EntryNotFound", f"{folder} does not exist")
        entries += [
            {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
            for path in folders
            if path.startswith(prefix)
        ]
        self.answer(200, entries)

    def paths_info(self, kind: str, name: str, revision: str) -> None:
        _, files = self.repo(kind, name).find(revision)
        asked = self.json["paths"] if self.body[:1] == b"{" else self.form_paths()
        entries = [files[path].entry(path) for path in asked if path in files]
        for path in asked:
            if any(file.startswith(f"{path}/") for file in files):
                entries.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        self.answer(200, entries)

    def form_paths(self) -> list[str]:
        pairs = [pair.partition("=") for pair in self.body.decode().split("&")]
        return [unquote(value) for key, _, value in pairs if key == "paths"]

    def refs(self, kind: str, name: str) -> None:
        repo = self.repo(kind, name)
        branches = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": commits[-1][0]}
                    for name, commits in repo.branches.items()]  # fmt: skip
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid}
                for tag, oid in repo.tags.items()]  # fmt: skip
        self.answer(200, {"branches": branches, "converts": [], "tags": tags})

    def tag(self, kind: str, name: str, revision: str) -> None:
        self.need_token()
        repo = self.repo(kind, name)
        if self.json["tag"] in repo.tags:
            raise RefusedError(409, "", "Tag already exists")
        repo.tags[self.json["tag"]] = repo.find(revision)[0]
        self.answer(200, {})

    def branch(self, kind: str, name: str, branch: str) -> None:
        self.need_token()
        branches = self.repo(kind, name).branches
        if self.command == "POST" and branch in branches:
            raise RefusedError(409, "", "Reference already exists")
        if self.command == "DELETE":
            if branch == "main" or branch not in branches:
                raise RefusedError(404, "", f"cannot delete the branch {branch}")
            del branches[branch]
        else:
            oids = [oid for oid, *_ in branches["main"]]
            end = oids.index(self.json["startingPoint"]) + 1
            branches[branch] = branches["main"][:end]
        self.answer(200, {})

    def secret(self, name: str) -> None:
        self.need_token()
        self.repo("spaces", name).secrets[self.json["key"]] = self.json["value"]
        self.answer(200, {})

    def resolve(self, name: str, revision: str, file: str, kind: str | None = None) -> None:
        oid, files = self.repo(kind or "models", name).find(revision)
        if file not in files:
            raise RefusedError(404, "EntryNotFound", f"no file {file}")
        stored = files[file]
        headers = {"X-Repo-Commit": oid, "ETag": f'"{stored.oid}"', "Accept-Ranges": "bytes"}
        if stored.lfs:
            location = f"{self.hub.cdn}/cdn/{stored.oid}"
            linked = {"X-Linked-Etag": f'"{stored.oid}"', "X-Linked-Size": str(len(stored.content))}
            self.answer(302, b"", headers | linked | {"Location": location})
        else:
            length = {"Content-Length": str(len(stored.content))}
            self.answer(200, stored.content, headers | length)

    def download(self, oid: str) -> None:
        content = self.hub.blobs[oid]
        if self.corrupt:
            content = content[:-4] + bytes(byte ^ 1 for byte in content[-4:])
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self.answer(200, content, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})
            return
        start, end = int(asked[1]), int(asked[2] or len(content) - 1)
        part = content[start : end + 1]
        where = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        self.answer(206, part, {"ETag": f'"{oid}"', "Content-Range": where})

    def validate_yaml(self) -> None:
        content = self.json["content"]
        errors = []
        try:
            front = yaml.safe_load(content.split("---\n")[1])
            if not isinstance(front.get("license", ""), str):
                errors = [{"message": '"license" must be a string'}]
        except (yaml.YAMLError, IndexError, AttributeError) as error:
            errors = [{"message": f"invalid YAML: {error}"}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        self.need_token()
        _, files = self.repo(kind, name).find(revision)
        answers = []
        for asked in self.json["files"]:
            lfs = asked["path"].endswith(LFS_SUFFIXES)
            known = files.get(asked["path"])
            answers.append({
                "path": asked["path"], "uploadMode": "lfs" if lfs else "regular",
                "shouldIgnore": False, "oid": known.oid if known else None,
            })  # fmt: skip
        self.answer(200, {"files": answers})

    def lfs_batch(self, name: str, kind: str | None = None) -> None:
        self.need_token()
        objects = []
        for asked in self.json["objects"]:
            known = asked["oid"] in self.hub.blobs
            upload = {"href": f"{self.hub.cdn}/lfs/{asked['oid']}", "header": {}}
            verify = {"href": f"{self.hub.endpoint}/verify/{asked['oid']}", "header": {}}
            actions = {} if known else {"actions": {"upload": upload, "verify": verify}}
            objects.append(asked | actions)
        self.answer(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise RefusedError(400, "", "the content is not what its SHA-256 says")
        self.hub.blobs[oid] = self.body
        self.answer(200, b"")

    def lfs_verify(self, oid: str) -> None:
        self.answer(200 if oid in self.hub.blobs else 404, {})

    def commit(self, kind: str, name: str, revision: str) -> None:
        self.need_token()
        repo = self.repo(kind, name)
        head, present = repo.find(revision)
        files = dict(present)
        title = ""
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                title = value["summary"]
                if value.get("parentCommit", head) != head:
                    raise RefusedError(412, "", "A commit has happened since. Please refresh.")
            elif operation["key"] == "file":
                files[value["path"]] = StoredFile(base64.b64decode(value["content"]), False)
            elif operation["key"] == "lfsFile":
                files[value["path"]] = StoredFile(self.hub.blobs[value["oid"]], True)
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
        oid = repo.commit(title, files, revision)
        self.answer(200, {"success": True, "commitOid": oid, "hookOutput": "",
                          "commitUrl": f"{self.hub.endpoint}/{name}/commit/{oid}"})  # fmt: skip

    def commits(self, kind: str, name: str, revision: str) -> None:
        self.repo(kind, name).find(revision)
        self.answer(200, [
            {"id": oid, "title": title, "message": "", "date": WHEN, "authors": [{"user": USER}]}
            for oid, title, _ in reversed(self.repo(kind, name).commits)
        ])  # fmt: skip


_API = r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
_WEB = r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+/[^/]+?)"
ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", r"/api/whoami-v2", HubHandler.whoami),
    ("POST", r"/api/repos/create", HubHandler.create),
    ("POST", r"/api/validate-yaml", HubHandler.validate_yaml),
    ("PUT", _API + r"/settings", HubHandler.settings),
    ("GET", _API, HubHandler.info),
    ("GET", _API + r"/revision/(?P<revision>.+)", HubHandler.info),
    ("GET", _API + r"/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?", HubHandler.tree),
    ("POST", _API + r"/paths-info/(?P<revision>[^/]+)", HubHandler.paths_info),
    ("GET", _API + r"/refs", HubHandler.refs),
    ("GET", _API + r"/commits/(?P<revision>[^/]+)", HubHandler.commits),
    ("POST", _API + r"/tag/(?P<revision>[^/]+)", HubHandler.tag),
    ("ANY", _API + r"/branch/(?P<branch>[^/]+)", HubHandler.branch),
    ("POST", r"/api/spaces/(?P<name>[^/]+/[^/]+)/secrets", HubHandler.secret),
    ("POST", _API + r"/preupload/(?P<revision>[^/]+)", HubHandler.preupload),
    ("POST", _API + r"/commit/(?P<revision>[^/]+)", HubHandler.commit),
    ("POST", _WEB + r"\.git/info/lfs/objects/batch", HubHandler.lfs_batch),
    ("PUT", r"/lfs/(?P<oid>\w+)", HubHandler.lfs_put),
    ("POST", r"/verify/(?P<oid>\w+)", HubHandler.lfs_verify),
    ("ANY", r"/cdn/(?P<oid>\w+)", HubHandler.download),
    ("ANY", _WEB + r"/resolve/(?P<revision>[^/]+)/(?P<file>.+)", HubHandler.resolve),
]
